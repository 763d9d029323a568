"""`latent-statistics`: one noisy release of the statistics of latents in a public basis, then sampling for free.

Private images are described by latents of public make (`latent.space`: principal directions of the operator's
`--public` and phantoms, or cosines; and how rough the image is where), the statistics that `latent.release` describes
go out once with noise, and synthetic images are drawn from the Gaussian of each label and group (`latent.fit`),
decoded, given public detail, and made as rough as their latents say. Best on small cohorts, where gradient noise
drowns a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generators.base import CellCount, GeneratorCard, Progress, Run, no_progress
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.conditions import Vocabulary
from generators.config import build_config
from generators.data import ImageSet
from generators.detail.finishing import finish, keep_step, public_look
from generators.detail.steps import FILE as DETAIL
from generators.detail.steps import add_detail, calibrate_detail, fit_detail
from generators.folder import load_card, load_tensors
from generators.latent.autoencoder import Lesson
from generators.latent.basis import Array, unit_pixels
from generators.latent.design import Design
from generators.latent.fit import Mixture, Prior, draw_residuals, fit_mixture
from generators.latent.release import PrivateLatents
from generators.latent.settings import LatentStatisticsConfig, residual_radius
from generators.latent.space import LatentSpace, chosen_basis, fit_space, phantoms_fit
from generators.public.images import public_entry
from generators.releases.latents import FILE as RELEASE
from generators.releases.latents import release_latent_statistics

NAME = "latent-statistics"
BASIS = "basis.safetensors"


class LatentStatistics:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = LatentStatisticsConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. A run killed before its release reached the disk is charged and has to be paid again."""
        settings = build_config(LatentStatisticsConfig, run.config)
        images, progress = run.images, run.progress
        vocabulary = Vocabulary.of(images, settings.labels)
        design = Design(vocabulary=vocabulary, group_weight=settings.group_weight)
        rows = design.rows(vocabulary.numbers(images))
        kind = chosen_basis(settings.basis, images, run.public)
        if kind == "dct" and settings.detail == "lenders":
            settings = replace(settings, detail="none")  # phantoms are unlike images that need cosines
        progress(0, 3, "fitting the public basis")
        released = run.resume and (run.out / RELEASE).exists()
        space = LatentSpace.load(run.out / BASIS) if released else _fitted_space(run, kind, settings, vocabulary.labels)
        shown = fit_detail(run, space.basis, how=settings.detail, n_steps=settings.detail_steps)
        progress(1, 3, "projecting")
        if not released:
            data = PrivateLatents(
                latents=space.encode(unit_pixels(images)),
                rows=rows,
                subjects=images.subjects(),
                centres=space.centres_of(design.n_labels),
            )
            asked = space.texture is not None and settings.spectrum_share > 0
            look = public_look(shown, images, space.basis) if asked else None
            space.save(run.out / BASIS)
            release_latent_statistics(data, design, space, settings, run, look)
        how, notes = calibrate_detail(
            run, space.basis, shown, partial(_draw_low, run.out, vocabulary, settings, space), how=settings.detail
        )
        settings = replace(settings, detail=how)
        _keep_step(run, vocabulary, settings, space)
        progress(2, 3, "writing the card")
        card = finish_run(
            run,
            name=NAME,
            settings=settings,
            vocabulary=vocabulary,
            public_data=[*_basis_entries(settings, kind, run), *_detail_entries(settings, run)],
            packages=("scipy", "torch") if how == "network" else ("scipy",),
            notes=notes,
        )
        progress(3, 3, "done")
        return card

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """See the protocol. Images are drawn from the mixture's Gaussians, decoded, and given detail."""
        card = load_card(folder)
        settings = build_config(LatentStatisticsConfig, card.config)
        vocabulary = card_vocabulary(card)
        cells = vocabulary.cells(counts)
        space = LatentSpace.load(folder / BASIS)
        canvas = Canvas(folder=folder, size=card.image_size, channels=card.channels, space=space)
        pixels, _ = _drawn(canvas, vocabulary, settings, cells, np.random.default_rng(seed), progress)
        pixels = finish(folder, pixels, space.basis)
        progress(2, 2, "done")
        return synthetic_set(pixels, cells, card)


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """What images are drawn with: the folder of the release, their side and depth, and the latent space."""

    folder: Path
    size: int
    channels: int
    space: LatentSpace


def _drawn(
    canvas: Canvas,
    vocabulary: Vocabulary,
    settings: LatentStatisticsConfig,
    cells: ImageSet,
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[NDArray[np.float32], Array]:
    """Images [n, D] with detail, as rough as their latents say, and the latents [n, d] of the basis."""
    space = canvas.space
    progress(0, 2, "drawing latents")
    latents = _draw_latents(canvas.folder, vocabulary, cells, settings, space, rng)
    progress(1, 2, "adding detail")
    pixels = add_detail(
        space.decode(latents),
        space.low_rank(latents),
        how=settings.detail,
        folder=canvas.folder,
        basis=space.basis,
        size=canvas.size,
        channels=canvas.channels,
        rng=rng,
        progress=progress,
    )
    return space.finish(pixels, latents), space.low_rank(latents)


def _keep_step(run: Run, vocabulary: Vocabulary, settings: LatentStatisticsConfig, space: LatentSpace) -> None:
    """The last step of drawn images, where their look was released: draws have labels as often as counts say."""
    noisy = load_tensors(run.out / RELEASE)
    if "look" not in noisy:
        return
    images = run.images
    canvas = Canvas(folder=run.out, size=images.images.shape[1], channels=images.channels, space=space)
    shares = np.maximum(np.diag(noisy["design"].astype(np.float64))[: len(vocabulary.labels)], 1.0)

    def draws(n: int) -> tuple[NDArray[np.float32], Array]:
        counts = np.ceil(n * shares / shares.sum()).astype(int)
        asked = [CellCount(label=label, n=int(count)) for label, count in zip(vocabulary.labels, counts, strict=True)]
        rng = np.random.default_rng(run.seed)
        return _drawn(canvas, vocabulary, settings, vocabulary.cells(asked), rng, no_progress)

    keep_step(run.out, noisy, space.basis, draws)


def _fitted_space(run: Run, kind: str, settings: LatentStatisticsConfig, labels: Sequence[str]) -> LatentSpace:
    """The public space of this run."""
    return fit_space(
        run.public,
        run.images,
        basis=kind,
        add_phantoms=settings.add_phantoms,
        n_components=settings.n_components,
        # Texture is a measure of detail: where none is added there is nothing to make rougher.
        n_texture=settings.n_texture if settings.detail != "none" else 0,
        radius_quantile=settings.radius_quantile,
        whitening=settings.whitening,
        labels=labels,
        lesson=Lesson(n_steps=settings.basis_steps, seed=run.seed, device=run.device, progress=run.progress),
    )


def _detail_entries(settings: LatentStatisticsConfig, run: Run) -> list[dict[str, str]]:
    """What detail is made of, for the card."""
    if settings.detail == "none":
        return []
    shown = run.public is not None and (run.out / DETAIL).exists()  # networks, or the spectrum that lenders take on
    public = [public_entry(run.public, "detail")] if shown else []
    return [*public, public_entry(None, "detail")] if phantoms_fit(run.images) else public


def _basis_entries(settings: LatentStatisticsConfig, kind: str, run: Run) -> list[dict[str, str]]:
    """What the basis is made of, for the card."""
    if kind == "dct":
        cosines = {"name": "discrete cosines", "use": "basis", "licence": "none: no image"}
        return [cosines, *([public_entry(run.public, "centres of labels")] if run.public is not None else [])]
    entries = [public_entry(run.public, "basis")]
    beside = run.public is not None and settings.add_phantoms and phantoms_fit(run.images)
    return [*entries, public_entry(None, "basis")] if beside else entries


def _draw_low(
    folder: Path,
    vocabulary: Vocabulary,
    settings: LatentStatisticsConfig,
    space: LatentSpace,
    n: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], Array]:
    """About n low-rank images [n, D] of the release, as many of each label, and their latents in the basis."""
    each = -(-n // len(vocabulary.labels))
    cells = vocabulary.cells([CellCount(label=label, n=each) for label in vocabulary.labels])
    latents = _draw_latents(folder, vocabulary, cells, settings, space, rng)
    return space.decode(latents), space.low_rank(latents)


def _draw_latents(
    folder: Path,
    vocabulary: Vocabulary,
    cells: ImageSet,
    settings: LatentStatisticsConfig,
    space: LatentSpace,
    rng: np.random.Generator,
) -> Array:
    """Latents [n, d] of the conditions asked for."""
    mixture = released_mixture(folder, vocabulary, settings, space)
    design, numbers = Design(vocabulary=vocabulary, group_weight=settings.group_weight), vocabulary.numbers(cells)
    means = design.rows(numbers) @ mixture.effects
    return np.asarray(means + draw_residuals(mixture.covariances, numbers[:, 0], rng))


def released_mixture(
    folder: Path, vocabulary: Vocabulary, settings: LatentStatisticsConfig, space: LatentSpace
) -> Mixture:
    """The Gaussians that images are drawn from, as the folder's release gives them."""
    noisy = load_tensors(folder / RELEASE)
    return fit_mixture(
        noisy,
        n_labels=len(vocabulary.labels),
        prior=Prior(
            spread=space.spread,
            centres=space.centres_of(len(vocabulary.labels)),
            covariance=space.covariance,
            radius=space.radius,
            residual_radius=residual_radius(space, noisy["leading"].astype(np.intp), settings),
        ),
        shrink=settings.shrink,
        discriminant=settings.shares(len(vocabulary.labels)).discriminant > 0,
    )
