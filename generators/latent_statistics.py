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

from generators.accounting import release_noise, spend_of
from generators.base import CellCount, ConfigError, GeneratorCard, Progress, Run, no_progress
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.detail.finishing import finish, keep_step, look_tensors, public_look
from generators.detail.look import Look
from generators.detail.steps import FILE as DETAIL
from generators.detail.steps import add_detail, calibrate_detail, fit_detail
from generators.folder import load_card, load_tensors, save_tensors
from generators.latent.autoencoder import Lesson
from generators.latent.basis import Array, unit_pixels
from generators.latent.fit import Prior, draw_residuals, fit_mixture
from generators.latent.release import Bounds, Design, PrivateLatents, Shares, planned_events, release
from generators.latent.space import LatentSpace, chosen_basis, fit_space, phantoms_fit
from generators.privacy import GaussianEvent
from generators.public.images import public_entry
from generators.releases.spectrum import release_look
from generators.steps_log import read_log

NAME = "latent-statistics"
RELEASE = "release.safetensors"
BASIS = "basis.safetensors"
# With more labels a classifier has more noisy weights than the covariance is worth: ten digits lose by it.
MOST_LABELS_TO_TELL = 4
COVARIANCE_NOISE = 1.0
FEWEST_LEADING = 2


@dataclass(frozen=True, kw_only=True)
class LatentStatisticsConfig:
    """Settings. The budget bounds epsilon whatever is chosen; shares and clipping say how it is spent."""

    basis: str = setting(
        "auto",
        "where latents come from: pca of public images, autoencoder (pca with a decoder that a network refines), dct "
        "(no image at all), or auto: pca where the operator or phantoms give images like these",
    )
    basis_steps: int = setting(400, "training steps of the autoencoder, about a seventh of a second each", low=1)
    add_phantoms: bool = setting(True, "fit the basis to phantoms beside the operator's public images (grey ones)")
    n_components: int = setting(64, "low-rank directions of the latent space, at most", low=2, high=512)
    n_texture: int = setting(
        48, "latents of texture: how rough an image is, where (grey images of 32 pixels on)", low=0, high=128
    )
    whitening: float = setting(
        0.5, "power of the public deviation that each latent is divided by, 0 to 1", low=0, high=1
    )
    radius_quantile: float = setting(
        0.9, "share of public images that the clipping radius leaves whole", low=0.1, high=1, changes_privacy=True
    )
    residual_factor: float = setting(
        0.9,
        "clipping radius of residuals, as a share of the root of their public variance",
        low=0.05,
        high=3,
        changes_privacy=True,
    )
    counts_share: float = setting(0.03, "share of the budget for counts", low=0.001, high=0.9, changes_privacy=True)
    sums_share: float = setting(0.37, "share of the budget for sums", low=0.01, high=0.95, changes_privacy=True)
    discriminant_share: float = setting(
        0.4,
        "share of the budget for a classifier of the labels, where there are 2 to 4; more go without, half of it to "
        "sums; what is left goes to covariance",
        low=0,
        high=0.9,
        changes_privacy=True,
    )
    spectrum_share: float = setting(
        0.06,
        "share of the budget for what images look like on average, where texture is drawn: power of each ring, "
        "roughness of each zone; the other shares are of what is left",
        low=0,
        high=0.5,
        changes_privacy=True,
    )
    group_weight: float = setting(
        0.4, "weight of sex and age against the label in the shared bound", low=0.05, high=1, changes_privacy=True
    )
    shrink: bool = setting(True, "shrink the covariance by the share of it that noise explains")
    detail: str = setting(
        "lenders",
        "what is added to what the latent space expresses: none, lenders (of phantoms, one channel only) or network "
        "(trained on phantoms and public images)",
    )
    detail_steps: int = setting(500, "training steps of the detail network, half a second each on a core", low=1)
    labels: str = setting("", "the public label vocabulary, comma-separated; empty: the cohort's own words")

    def __post_init__(self) -> None:
        if self.counts_share + self.sums_share + self.discriminant_share >= 1 - 1e-9:
            raise ConfigError(
                f"{self.counts_share}, {self.sums_share} and {self.discriminant_share} leave nothing for covariance",
                where="sums_share",
                remedy="choose shares with a sum below 1",
            )

    def shares(self, n_labels: int) -> Shares:
        """How the budget is split for so many labels, from settings alone."""
        discriminant = self.discriminant_share if 1 < n_labels <= MOST_LABELS_TO_TELL else 0.0
        sums = self.sums_share + (self.discriminant_share - discriminant) / 2
        return Shares(
            counts=self.counts_share,
            sums=sums,
            moments=1 - self.counts_share - sums - discriminant,
            discriminant=discriminant,
        )


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
        space = LatentSpace.load(run.out / BASIS) if released else _fitted_space(run, kind, settings)
        shown = fit_detail(run, space.basis, how=settings.detail, n_steps=settings.detail_steps)
        progress(1, 3, "projecting")
        if not released:
            data = PrivateLatents(latents=space.encode(unit_pixels(images)), rows=rows, subjects=images.subjects())
            asked = space.texture is not None and settings.spectrum_share > 0
            look = public_look(shown, images, space.basis) if asked else None
            space.save(run.out / BASIS)
            _charge_and_release(data, design, space, settings, run, look)
        how, notes = calibrate_detail(
            run, space.basis, shown, partial(_draw_low, run.out, vocabulary, settings), how=settings.detail
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


def _fitted_space(run: Run, kind: str, settings: LatentStatisticsConfig) -> LatentSpace:
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
        lesson=Lesson(n_steps=settings.basis_steps, seed=run.seed, device=run.device, progress=run.progress),
    )


def leading_latents(noise_multiplier: float, share: float, *, public_n_subjects: int, at_most: int) -> int:
    """How many latents' second moments are worth releasing, from public numbers.

    The noise of m^2 moments of unit spread moves eigenvalues by about 2 sqrt(m / 2) multiplier m / (n sqrt(share)):
    m is where that reaches COVARIANCE_NOISE. Further latents keep their public variances.
    """
    affordable = (COVARIANCE_NOISE * public_n_subjects * share**0.5 / max(noise_multiplier, 1e-9)) ** (2 / 3)
    return int(min(max(affordable, FEWEST_LEADING), at_most))


def _charge_and_release(
    data: PrivateLatents,
    design: Design,
    space: LatentSpace,
    settings: LatentStatisticsConfig,
    run: Run,
    look: Look | None,
) -> None:
    """Reserve, release, store. Killed attempts count: only what they left of the budget is used."""
    shares = settings.shares(design.n_labels)
    earlier = read_log(run.out)
    already, first_step = ((), 0) if earlier is None else (earlier.events, earlier.n_steps)
    budget = run.budget
    asked = 0.0 if look is None else settings.spectrum_share
    noise_multiplier = release_noise(budget, already, share=1 - asked)
    planned = list(planned_events(noise_multiplier, shares))
    if asked:
        of_look = release_noise(budget, already, share=asked)
        planned.append(GaussianEvent(noise_multiplier=of_look, sample_rate=1.0, steps=1))
    run.recorder.reserve(
        spend_of(
            (*already, *planned),
            delta=budget.target_delta,
            accountant=budget.accountant,
            privacy_unit=run.images.privacy_unit,
        )
    )
    n_leading = leading_latents(
        noise_multiplier,
        shares.moments,
        public_n_subjects=budget.public_n_subjects,
        at_most=space.n_latents,
    )
    leading = space.leading(n_leading)
    noisy = release(
        data,
        design=design,
        bounds=Bounds(
            radius=space.radius,
            residual_radius=residual_radius(space, leading, settings),
            leading=leading,
            public_n_subjects=budget.public_n_subjects,
        ),
        noise_multiplier=noise_multiplier,
        shares=shares,
        recorder=run.recorder,
        first_step=first_step,
    )
    kept = noisy.tensors
    if look is not None:
        kept |= look_tensors(
            release_look(
                look.describe(unit_pixels(run.images).reshape(-1, look.size, look.size)),
                data.subjects,
                radius=look.radius,
                n_noisy=float(np.trace(noisy.design[: design.n_labels, : design.n_labels])),
                event=planned[-1],
                recorder=run.recorder,
                step=first_step + len(planned) - 1,
            ),
            look,
        )
    save_tensors(run.out / RELEASE, kept)


def residual_radius(space: LatentSpace, leading: NDArray[np.intp], settings: LatentStatisticsConfig) -> float:
    """What residuals of the leading latents are clipped to, from public numbers."""
    return settings.residual_factor * float(np.linalg.norm(space.spread[leading]))


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
        return [{"name": "discrete cosines", "use": "basis", "licence": "none: no image"}]
    entries = [public_entry(run.public, "basis")]
    beside = run.public is not None and settings.add_phantoms and phantoms_fit(run.images)
    return [*entries, public_entry(None, "basis")] if beside else entries


def _draw_low(
    folder: Path, vocabulary: Vocabulary, settings: LatentStatisticsConfig, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Array]:
    """About n low-rank images [n, D] of the release, as many of each label, and their latents in the basis."""
    each = -(-n // len(vocabulary.labels))
    cells = vocabulary.cells([CellCount(label=label, n=each) for label in vocabulary.labels])
    space = LatentSpace.load(folder / BASIS)
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
    noisy = load_tensors(folder / RELEASE)
    mixture = fit_mixture(
        noisy,
        n_labels=len(vocabulary.labels),
        prior=Prior(
            spread=space.spread,
            covariance=space.covariance,
            radius=space.radius,
            residual_radius=residual_radius(space, noisy["leading"].astype(np.intp), settings),
        ),
        shrink=settings.shrink,
        discriminant=settings.shares(len(vocabulary.labels)).discriminant > 0,
    )
    design, numbers = Design(vocabulary=vocabulary, group_weight=settings.group_weight), vocabulary.numbers(cells)
    means = design.rows(numbers) @ mixture.effects
    return np.asarray(means + draw_residuals(mixture.covariance, numbers[:, 0], rng))
