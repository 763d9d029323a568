"""`latent-statistics`: one noisy release of the statistics of latents in a public basis, then sampling for free.

Private images are projected on directions fitted to public images (the operator's `--public`, else phantoms), the
statistics that `latent_release` describes go out once with noise, and synthetic images are drawn from the Gaussian of
each label and group, decoded, and given public detail. Best on small cohorts, where gradient noise drowns a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generators.accounting import noise_multiplier_for, spend_of
from generators.base import CellCount, ConfigError, GeneratorCard, Progress, Run
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.detail import add_detail, calibrate_detail, check_how, fit_detail
from generators.folder import load_card, load_tensors, save_tensors
from generators.latent_release import (
    Design,
    PrivateLatents,
    Shares,
    fit_covariance,
    planned_events,
    release,
)
from generators.public_basis import Array, PublicBasis, fit_basis, unit_pixels
from generators.public_images import public_entry, public_or_phantoms
from generators.steps_log import read_log

NAME = "latent-statistics"
RELEASE = "release.safetensors"
BASIS = "basis.safetensors"


@dataclass(frozen=True, kw_only=True)
class LatentStatisticsConfig:
    """Settings. The guarantee rests on the budget alone: each of these moves quality, none the epsilon."""

    n_components: int = setting(32, "directions of the latent space", low=2, high=512)
    whitening: float = setting(
        1.0, "power of the public deviation that each latent is divided by, 0 to 1", low=0, high=1
    )
    radius_quantile: float = setting(
        0.9, "share of public images that the clipping radius leaves whole", low=0.1, high=1
    )
    residual_factor: float = setting(0.9, "clipping radius of residuals, as a share of the radius", low=0.05, high=2)
    counts_share: float = setting(0.05, "share of the budget for counts", low=0.001, high=0.9)
    sums_share: float = setting(0.75, "share of the budget for sums; the rest goes to covariance", low=0.01, high=0.95)
    group_weight: float = setting(0.4, "weight of sex and age against the label in the shared bound", low=0.05, high=1)
    shrink: bool = setting(True, "shrink the covariance by the share of it that noise explains")
    detail: str = setting(
        "lenders",
        "what is added to what the latent space expresses: none, lenders (of phantoms, one channel only) or network "
        "(trained on phantoms and public images)",
    )
    detail_steps: int = setting(500, "training steps of the detail network, half a second each on a core", low=1)
    labels: str = setting("", "the public label vocabulary, comma-separated; empty: the cohort's own words")

    @property
    def shares(self) -> Shares:
        moments = 1 - self.counts_share - self.sums_share
        if moments <= 0:
            raise ConfigError(
                f"{self.counts_share} and {self.sums_share} leave nothing for covariance",
                where="sums_share",
                remedy="choose shares with a sum below 1",
            )
        return Shares(counts=self.counts_share, sums=self.sums_share, moments=moments)


class LatentStatistics:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = LatentStatisticsConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. A run killed before its release reached the disk is charged and has to be paid again."""
        settings = build_config(LatentStatisticsConfig, run.config)
        with_network = check_how(settings.detail) == "network"
        images, progress = run.images, run.progress
        vocabulary = Vocabulary.of(images, settings.labels)
        design = Design(vocabulary=vocabulary, group_weight=settings.group_weight)
        rows = design.rows(vocabulary.numbers(images))
        progress(0, 3, "fitting the public basis")
        basis = fit_basis(
            public_or_phantoms(run.public, images),
            n_components=settings.n_components,
            radius_quantile=settings.radius_quantile,
            whitening=settings.whitening,
        )
        shown = fit_detail(run, basis, n_steps=settings.detail_steps) if with_network else None
        progress(1, 3, "projecting")
        if not (run.resume and (run.out / RELEASE).exists()):
            data = PrivateLatents(latents=basis.encode(unit_pixels(images)), rows=rows, subjects=images.subjects())
            save_tensors(run.out / BASIS, asdict(basis) | {"radius": np.array(basis.radius)})
            _charge_and_release(data, design, basis, settings, run)
        notes = []
        if shown is not None:
            checked = calibrate_detail(run, basis, shown, partial(_draw_low, run.out, vocabulary, settings, basis))
            notes = [checked.note]
            settings = settings if checked.passed else replace(settings, detail="lenders")
        progress(2, 3, "writing the card")
        card = finish_run(
            run,
            name=NAME,
            settings=settings,
            vocabulary=vocabulary,
            public_data=[public_entry(run.public, "basis"), *_detail_entries(settings, run)],
            packages=("scipy", "torch") if with_network else ("scipy",),
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
        basis = _load_basis(folder)
        rng = np.random.default_rng(seed)
        progress(0, 2, "drawing latents")
        latents = _draw_latents(folder, vocabulary, cells, settings, rng)
        pixels = basis.decode(latents)
        progress(1, 2, "adding detail")
        pixels = add_detail(
            pixels, latents, how=settings.detail, folder=folder, basis=basis, card=card, rng=rng, progress=progress
        )
        progress(2, 2, "done")
        return synthetic_set(pixels, cells, card)


def _charge_and_release(
    data: PrivateLatents, design: Design, basis: PublicBasis, settings: LatentStatisticsConfig, run: Run
) -> None:
    """Reserve, release, store. Killed attempts count: only what they left of the budget is used."""
    earlier = read_log(run.out)
    already = () if earlier is None else earlier.events
    budget = run.budget
    noise_multiplier = noise_multiplier_for(
        target_epsilon=budget.target_epsilon,
        delta=budget.target_delta,
        sample_rate=1.0,
        steps=1,
        accountant=budget.accountant,
        already=already,
    )
    run.recorder.reserve(
        spend_of(
            (*already, *planned_events(noise_multiplier, settings.shares)),
            delta=budget.target_delta,
            accountant=budget.accountant,
            privacy_unit=run.images.privacy_unit,
        )
    )
    noisy = release(
        data,
        design=design,
        radius=basis.radius,
        residual_radius=basis.radius * settings.residual_factor,
        noise_multiplier=noise_multiplier,
        shares=settings.shares,
        recorder=run.recorder,
        first_step=0 if earlier is None else earlier.n_steps,
    )
    save_tensors(run.out / RELEASE, noisy.tensors)


def _detail_entries(settings: LatentStatisticsConfig, run: Run) -> list[dict[str, str]]:
    """What detail is made of, for the card."""
    if settings.detail == "none":
        return []
    public = [public_entry(run.public, "detail")] if settings.detail == "network" and run.public is not None else []
    return [*public, public_entry(None, "detail")] if run.images.channels == 1 else public


def _draw_low(
    folder: Path,
    vocabulary: Vocabulary,
    settings: LatentStatisticsConfig,
    basis: PublicBasis,
    n: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """About n low-rank images [n, D] of the release, as many of each label."""
    each = -(-n // len(vocabulary.labels))
    cells = vocabulary.cells([CellCount(label=label, n=each) for label in vocabulary.labels])
    return basis.decode(_draw_latents(folder, vocabulary, cells, settings, rng))


def _load_basis(folder: Path) -> PublicBasis:
    tensors = load_tensors(folder / BASIS)
    return PublicBasis(
        mean=tensors["mean"].astype(np.float32),
        directions=tensors["directions"].astype(np.float32),
        scale=tensors["scale"].astype(np.float32),
        radius=float(tensors["radius"].item()),
    )


def _draw_latents(
    folder: Path,
    vocabulary: Vocabulary,
    cells: ImageSet,
    settings: LatentStatisticsConfig,
    rng: np.random.Generator,
) -> Array:
    design = Design(vocabulary=vocabulary, group_weight=settings.group_weight)
    noisy = {name: value.astype(np.float64) for name, value in load_tensors(folder / RELEASE).items()}
    n_labels = len(vocabulary.labels)
    n_subjects = max(float(np.trace(noisy["design"][:n_labels, :n_labels])), 10.0)
    covariance = fit_covariance(noisy["moments"], n=n_subjects, noise=float(noisy["noise"][1]), shrink=settings.shrink)
    means = design.rows(vocabulary.numbers(cells)) @ noisy["effects"]
    return np.asarray(means + rng.standard_normal(means.shape) @ np.linalg.cholesky(covariance).T)
