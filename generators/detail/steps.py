"""Fine detail that costs no privacy: what a low-rank draw lacks, from phantoms or a network of public images.

`lenders`: a phantom whose latent lies near the drawn one lends the part of its image that the latent space cannot
express (ribs, vessels, noise). Phantoms image no person, so nobody's detail can be pasted. Quick; the default.
`network`: `detail_network`, trained on phantoms and the operator's public images, starts from what lenders give and
draws over it as sharp public images look; a network that pastes public images is not used (`public_copies`).

With sharp public images the spectrum of either is brought to theirs, ring by ring. Either adds to what the release
said and takes nothing from it: what the detail holds inside the latent space is projected off, so that released
statistics, and labels with them, stay as drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from generators.base import ConfigError, Progress, Run, no_progress
from generators.detail.fitting import PublicImages, base_side, gather_public, train_base, train_doubling
from generators.detail.sampling import NetworkDetail, Pixels, as_grey, corrected
from generators.detail.spectrum import detail_gains
from generators.folder import load_tensors, save_tensors
from generators.latent.basis import Array, Basis, unit_pixels
from generators.latent.space import phantoms_fit
from generators.networks.tensors import pick_device
from generators.phantoms import can_draw, draw_phantoms
from generators.public.copies import check_copies

HOW = ("none", "lenders", "network")
FILE = "detail.safetensors"
N_LENDERS = 800
N_NEAREST = 6
N_CALIBRATION = 192


def check_how(how: str) -> str:
    """The setting `detail`, checked. Raises ConfigError."""
    if how not in HOW:
        raise ConfigError(f"is {how!r}", where="detail", remedy=f"choose one of {', '.join(HOW)}")
    return how


def phantom_detail(latents: Array, *, basis: Basis, size: int, rng: np.random.Generator) -> Pixels:
    """The detail [n, D] of one of the nearest normal phantoms of each latent [n, d]. Deterministic in `rng`."""
    lenders = draw_phantoms(
        n_subjects=N_LENDERS, size=size, seed=int(rng.integers(2**31)), max_images=1, labels=("normal",)
    )
    pixels = unit_pixels(lenders.images)
    places = basis.encode(pixels)
    detail = pixels - basis.decode(places)
    nearest = np.asarray(cKDTree(places).query(latents, k=N_NEAREST)[1])
    chosen = nearest[np.arange(len(latents)), rng.integers(0, N_NEAREST, len(latents))]
    return np.asarray(detail[chosen])


def add_phantom_detail(
    low_rank: Pixels, latents: Array, *, basis: Basis, size: int, rng: np.random.Generator
) -> Pixels:
    """Images [n, D] with the detail of one of the nearest normal phantoms each. Deterministic in `rng`."""
    return np.asarray(low_rank + phantom_detail(latents, basis=basis, size=size, rng=rng))


def add_detail(
    low: Pixels,
    latents: Array,
    *,
    how: str,
    folder: Path,
    basis: Basis,
    size: int,
    channels: int,
    rng: np.random.Generator,
    progress: Progress,
) -> Pixels:
    """Images [n, D] of low images [n, D] and their latents, as `how` says. Phantoms lend where any are alike."""
    if how == "none":
        return low
    lends = can_draw(size=size, channels=channels)
    lent = phantom_detail(latents, basis=basis, size=size, rng=rng) if lends else None
    if how == "network":
        network = NetworkDetail.load(folder / FILE, channels=channels)
        return network.add(low, basis=basis, rng=rng, progress=progress, start=lent)
    if lent is None:
        return low
    if (folder / FILE).exists():
        lent = corrected(lent, load_tensors(folder / FILE)["gains"].astype(np.float64), basis)
    return np.asarray(low + lent)


def fit_detail(run: Run, basis: Basis, *, how: str, n_steps: int) -> PublicImages | None:
    """Whatever detail needs before the release, from public images alone: networks, left in the folder.

    Free of privacy cost, and quick where the networks are there already. Returns the public images for
    `calibrate_detail`; None where it has nothing to do. Raises ConfigError.
    """
    if check_how(how) == "none" or (how == "lenders" and (run.public is None or not phantoms_fit(run.images))):
        return None
    shown = gather_public(run.public, run.images)
    if how == "network" and not (run.out / FILE).exists():
        size, device = shown.images.shape[-1], pick_device(run.device)
        base = train_base(shown, basis, n_steps=n_steps, seed=run.seed, device=device, progress=run.progress)
        doubling = None
        if base_side(size) < size:
            doubling = train_doubling(shown, n_steps=n_steps, seed=run.seed, device=device, progress=run.progress)
        NetworkDetail(base=base, doubling=doubling, kind=shown.best, gains=np.ones(size // 2)).save(run.out / FILE)
    return shown


Draws = Callable[[int, np.random.Generator], tuple[Pixels, Array]]
"""draws(n, rng) -> low-rank images [n, D] drawn from the release, and their latents [n, d]."""


def calibrate_detail(
    run: Run, basis: Basis, shown: PublicImages | None, draws: Draws, *, how: str
) -> tuple[str, list[str]]:
    """Bring the detail's spectrum to the public images'; returns what `how` becomes, and notes for the card.

    Post-processing of the release and public images alone. A network that pastes public images gives way to lenders.
    """
    if how == "lenders" and not phantoms_fit(run.images):
        return "none", []
    if shown is None:
        return how, []
    if how == "lenders":
        _calibrate_lenders(run, basis, shown, draws)
        return how, []
    notes, passed = _calibrate_network(run, basis, shown, draws)
    if passed or not phantoms_fit(run.images):
        return ("network" if passed else "none"), notes
    (run.out / FILE).unlink()
    return calibrate_detail(run, basis, shown, draws, how="lenders")[0], notes


def _calibrate_network(run: Run, basis: Basis, shown: PublicImages, draws: Draws) -> tuple[list[str], bool]:
    channels = run.images.channels
    network = NetworkDetail.load(run.out / FILE, channels=channels)
    rng = np.random.default_rng(run.seed)
    low, latents = draws(N_CALIBRATION, rng)
    size = shown.images.shape[-1]
    lent = phantom_detail(latents, basis=basis, size=size, rng=rng) if phantoms_fit(run.images) else None
    detail = network.draw(low, basis=basis, rng=rng, progress=no_progress, start=lent)
    gains = detail_gains(as_grey(low, channels), as_grey(detail, channels), shown.spectrum)
    network = replace(network, gains=gains)
    network.save(run.out / FILE)
    drawn = as_grey(network.join(low, detail, basis=basis), channels)
    check = check_copies(drawn, shown.of_kind(shown.best))
    return [check.note], check.passed


def _calibrate_lenders(run: Run, basis: Basis, shown: PublicImages, draws: Draws) -> None:
    """Phantoms are noisier than radiographs: with sharp public images, lent detail gets their spectrum."""
    if shown.best != "sharp":
        return
    rng = np.random.default_rng(run.seed)
    low, latents = draws(N_CALIBRATION, rng)
    size = shown.images.shape[-1]
    detail = phantom_detail(latents, basis=basis, size=size, rng=rng)
    gains = detail_gains(as_grey(low, 1), as_grey(detail, 1), shown.spectrum)
    save_tensors(run.out / FILE, {"gains": gains})
