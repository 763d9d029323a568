"""Fine detail that costs no privacy: what a low-rank draw lacks, from phantoms or a network of public images.

`lenders`: a phantom whose latent lies near the drawn one lends the part of its image that the latent space cannot
express (ribs, vessels, noise). Phantoms image no person, so nobody's detail can be pasted. Quick; the default.
`network`: `detail_network` draws that part, trained on phantoms and the operator's public images; its spectrum is
brought to theirs, and a network that pastes public images is not used (`public_copies`).

Either adds to what the release said and takes nothing from it: what the detail holds inside the latent space is
projected off, so that released statistics, and labels with them, stay as drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from generators.base import ConfigError, GeneratorCard, Progress, Run, no_progress
from generators.checkpoints import load_network, network_tensors, read_tensors
from generators.detail_network import KINDS, DetailNetwork, draw_residuals
from generators.detail_spectrum import apply_gains, detail_gains
from generators.detail_training import (
    WIDTH,
    PublicImages,
    base_side,
    enlarge,
    gather_public,
    train_base,
    train_doubling,
)
from generators.folder import save_tensors
from generators.phantoms import draw_phantoms
from generators.public_basis import Array, PublicBasis, unit_pixels
from generators.public_copies import CopyCheck, check_copies
from generators.tensors import pick_device

HOW = ("none", "lenders", "network")
FILE = "detail.safetensors"
N_LENDERS = 800
N_NEAREST = 6
N_CALIBRATION = 192
N_SAMPLING_STEPS = 10
DOUBT = 0.3
CHUNK = 128

Pixels = NDArray[np.float32]


def check_how(how: str) -> str:
    """The setting `detail`, checked. Raises ConfigError."""
    if how not in HOW:
        raise ConfigError(f"is {how!r}", where="detail", remedy=f"choose one of {', '.join(HOW)}")
    return how


def add_phantom_detail(
    low_rank: Pixels, latents: Array, *, basis: PublicBasis, size: int, rng: np.random.Generator
) -> Pixels:
    """Images [n, D] with the detail of one of the nearest normal phantoms each. Deterministic in `rng`."""
    lenders = draw_phantoms(
        n_subjects=N_LENDERS, size=size, seed=int(rng.integers(2**31)), max_images=1, labels=("normal",)
    )
    pixels = unit_pixels(lenders.images)
    places = basis.encode(pixels)
    detail = pixels - basis.decode(places)
    nearest = np.asarray(cKDTree(places).query(latents, k=N_NEAREST)[1])
    chosen = nearest[np.arange(len(latents)), rng.integers(0, N_NEAREST, len(latents))]
    return np.asarray(low_rank + detail[chosen])


@dataclass(frozen=True, kw_only=True)
class NetworkDetail:
    """A trained detail network: base, the network that doubles the side (None at small sides), the kind drawn, and
    the gain of each ring [S/2]."""

    base: DetailNetwork
    doubling: DetailNetwork | None
    kind: str
    gains: Array

    def add(self, low: Pixels, *, basis: PublicBasis, rng: np.random.Generator, progress: Progress) -> Pixels:
        """Images [n, D] in [0, 1] with the detail of low images [n, D]. Deterministic in `rng`."""
        detail = self.draw(low, basis=basis, rng=rng, progress=progress)
        return self.join(low, detail, basis=basis)

    def join(self, low: Pixels, detail: Pixels, *, basis: PublicBasis) -> Pixels:
        """Low images and their detail with its spectrum corrected, in [0, 1]."""
        return np.asarray(np.clip(low + self._corrected(detail, basis), 0, 1), dtype=np.float32)

    def draw(self, low: Pixels, *, basis: PublicBasis, rng: np.random.Generator, progress: Progress) -> Pixels:
        """The detail [n, D] alone, before its spectrum is corrected, none of it inside the latent space."""
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        device = self.base.unit.device
        parts = []
        for start in range(0, len(low), CHUNK):
            part = self._as_images(low[start : start + CHUNK]).to(device)
            parts.append(_as_rows(self._refined(part, random).cpu() - part.cpu()))
            progress(min(start + CHUNK, len(low)), len(low), "drawing detail")
        return outside(np.concatenate(parts), basis)

    def _refined(self, low: Tensor, random: torch.Generator) -> Tensor:
        size = low.shape[-1]
        side = base_side(size)
        image = functional.adaptive_avg_pool2d(low, side)
        image = image + self._residuals(self.base, image, DOUBT, random)
        while side < size and self.doubling is not None:
            side, image = side * 2, enlarge(image)
            image = image + self._residuals(self.doubling, image, 0.0, random)
        return image

    def _residuals(self, network: DetailNetwork, low: Tensor, doubt: float, random: torch.Generator) -> Tensor:
        return draw_residuals(network, low, kind=self.kind, doubt=doubt, n_steps=N_SAMPLING_STEPS, random=random)

    def _corrected(self, detail: Pixels, basis: PublicBasis) -> Pixels:
        images = self._as_images(detail)
        n, channels, side, _ = images.shape
        changed = apply_gains(images.reshape(n * channels, side, side).numpy(), self.gains)
        return outside(_as_rows(torch.from_numpy(changed).reshape(n, channels, side, side)), basis)

    def _as_images(self, rows: Pixels) -> Tensor:
        channels = self.base.channels
        side = round((rows.shape[1] / channels) ** 0.5)
        return torch.from_numpy(rows.astype(np.float32)).reshape(-1, side, side, channels).movedim(-1, 1)

    def grey(self, rows: Pixels) -> Pixels:
        """Rows [n, D] as grey images [n, S, S]."""
        return np.asarray(self._as_images(rows).mean(1).numpy(), dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        doubling = {} if self.doubling is None else network_tensors(self.doubling, "doubling")
        facts = {"kind": np.array([KINDS.index(self.kind)]), "gains": self.gains}
        save_tensors(path, network_tensors(self.base, "base") | doubling | facts)

    @classmethod
    def load(cls, path: Path, *, channels: int) -> NetworkDetail:
        """Read what `save` wrote. Raises ResumeError."""
        tensors = read_tensors(path)
        networks = [
            _loaded(tensors, name, channels) if f"{name}.unit" in tensors else None for name in ("base", "doubling")
        ]
        return cls(
            base=networks[0] or DetailNetwork(channels=channels, width=WIDTH),
            doubling=networks[1],
            kind=KINDS[int(tensors["kind"][0])],
            gains=tensors["gains"].numpy().astype(np.float64),
        )


def add_detail(
    low: Pixels,
    latents: Array,
    *,
    how: str,
    folder: Path,
    basis: PublicBasis,
    card: GeneratorCard,
    rng: np.random.Generator,
    progress: Progress,
) -> Pixels:
    """Images [n, D] of low images [n, D] and their latents, as `how` says. Lenders are grey: colour gets none."""
    if how == "network":
        return NetworkDetail.load(folder / FILE, channels=card.channels).add(
            low, basis=basis, rng=rng, progress=progress
        )
    if how == "lenders" and card.channels == 1:
        return add_phantom_detail(low, latents, basis=basis, size=card.image_size, rng=rng)
    return low


Draws = Callable[[int, np.random.Generator], Pixels]
"""draws(n, rng) -> low-rank images [n, D] drawn from the release: what the network will be given."""


def fit_detail(run: Run, basis: PublicBasis, *, n_steps: int) -> PublicImages:
    """Train the networks on public images and leave them, their gains at 1, in the folder; quick where they are there.

    Free of privacy cost: to be called before anything is spent. Returns the public images for `calibrate_detail`.
    """
    shown = gather_public(run.public, run.images)
    if (run.out / FILE).exists():
        return shown
    size, device = shown.images.shape[-1], pick_device(run.device)
    base = train_base(shown, basis, n_steps=n_steps, seed=run.seed, device=device, progress=run.progress)
    doubling = None
    if base_side(size) < size:
        doubling = train_doubling(shown, n_steps=n_steps, seed=run.seed, device=device, progress=run.progress)
    NetworkDetail(base=base, doubling=doubling, kind=shown.best, gains=np.ones(size // 2)).save(run.out / FILE)
    return shown


def calibrate_detail(run: Run, basis: PublicBasis, shown: PublicImages, draws: Draws) -> CopyCheck:
    """Set the gains of each ring on images drawn from the release, and look for pasted public images among them.

    Post-processing of the release and public images alone. The caller falls back to `lenders` where the check fails.
    """
    network = NetworkDetail.load(run.out / FILE, channels=run.images.channels)
    rng = np.random.default_rng(run.seed)
    low = draws(N_CALIBRATION, rng)
    detail = network.draw(low, basis=basis, rng=rng, progress=no_progress)
    gains = detail_gains(network.grey(low), network.grey(detail), shown.spectrum)
    network = NetworkDetail(base=network.base, doubling=network.doubling, kind=network.kind, gains=gains)
    network.save(run.out / FILE)
    drawn = network.join(low, detail, basis=basis)
    return check_copies(network.grey(drawn), shown.of_kind(shown.best))


def outside(detail: Pixels, basis: PublicBasis) -> Pixels:
    """Rows [n, D] without their part inside the latent space."""
    return np.asarray(detail - (detail @ basis.directions.T) @ basis.directions, dtype=np.float32)


def _loaded(tensors: dict[str, Tensor], name: str, channels: int) -> DetailNetwork:
    network = DetailNetwork(channels=channels, width=WIDTH)
    load_network(network, tensors, name)
    return network.eval()


def _as_rows(images: Tensor) -> Pixels:
    return np.asarray(images.movedim(1, -1).flatten(1).numpy(), dtype=np.float32)
