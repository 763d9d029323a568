"""`latent-diffusion`: a small denoiser in the public latent space, taught for free, then refined by DP-SGD.

A part of the budget buys a release of `latent-statistics`, in a folder of its own, whose latent space and detail are
used throughout. A denoiser (`latent_denoiser`) learns from public latents and then from draws of that release, which
costs nothing more; the rest of the budget lets private latents correct it, one gradient a subject, full batches up to
2,000 public subjects and Poisson draws beyond (`training`). Latents are clipped and scaled by public numbers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generators.accounting import epsilon_of, release_noise, spend_of
from generators.base import (
    BudgetError,
    CellCount,
    ConfigError,
    GeneratorCard,
    Progress,
    ResumeError,
    Run,
    no_progress,
)
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.detail.steps import FILE as DETAIL
from generators.detail.steps import add_detail, check_how
from generators.folder import CARD, load_card, load_tensors, save_tensors
from generators.gradients.subjects import Loss
from generators.latent.basis import Array, clip_norms, unit_pixels
from generators.latent.denoiser import LatentDenoiser, denoising_loss, draw_latents
from generators.latent.settings import LatentStatisticsConfig
from generators.latent.space import LatentSpace, phantoms_fit
from generators.latent_statistics import BASIS, LatentStatistics
from generators.networks.checkpoints import load_network, network_tensors, read_tensors
from generators.networks.tensors import n_conditions, one_hot, pick_device, seeded
from generators.privacy import GaussianEvent, PrivacyBudget, PrivacySpend, StepRecord
from generators.public.images import public_entry, public_or_phantoms
from generators.public.pretraining import pretrain
from generators.steps_log import Recorders, StepsLog, read_log
from generators.training import PrivateSettings, train_network

NAME = "latent-diffusion"
STATISTICS = "statistics"
PRETRAINED = "pretrained.safetensors"
WEIGHTS = "network.safetensors"
CONDITIONS, ALL = "conditions", "all"
PUBLIC_LEARNING_RATE = 2e-3
PUBLIC_BATCH = 256
PUBLIC_AVERAGE = 0.99
DROPPED = 0.15


@dataclass(frozen=True, kw_only=True)
class LatentDiffusionConfig(PrivateSettings):
    """Settings, those of the private loop first."""

    batch_size: int = setting(2000, "expected subjects a step", low=1, changes_privacy=True)
    n_steps: int = setting(30, "private steps", low=1, high=1_000_000, changes_privacy=True)
    learning_rate: float = setting(1e-3, "Adam's rate for private steps", low=1e-7, high=1)
    views: int = setting(8, "images of one subject, each with its own noise, that one step looks at", low=1, high=64)
    average: float = setting(0.9, "decay of the moving average of weights that is kept; 0 for none", low=0, high=1)
    microbatch: int = setting(128, "subjects computed at once: memory and speed", low=1)
    statistics_share: float = setting(
        0.9, "share of the budget for the statistics to learn from", low=0.05, high=0.95, changes_privacy=True
    )
    refined: str = setting("conditions", "weights that private steps change: all, or conditions for theirs alone")
    basis: str = setting("auto", "as of latent-statistics: auto, pca, autoencoder or dct")
    basis_steps: int = setting(400, "training steps of the autoencoder", low=1)
    n_components: int = setting(64, "low-rank directions of the latent space, at most", low=2, high=512)
    width: int = setting(64, "features of the denoiser", low=8, high=1024)
    depth: int = setting(2, "layers of the denoiser", low=1, high=16)
    public_steps: int = setting(300, "steps on public latents", low=0)
    draw_steps: int = setting(1500, "steps on draws of the statistics", low=0)
    n_draws: int = setting(4500, "draws of the statistics to learn from", low=100, high=1_000_000)
    guidance: float = setting(1.0, "how far what the label changes is exaggerated; 1 for as learned", low=0, high=10)
    sampling_steps: int = setting(18, "steps of the second-order sampler", low=2, high=200)
    detail: str = setting("lenders", "as of latent-statistics: none, lenders or network")
    detail_steps: int = setting(500, "training steps of the detail network", low=1)

    def __post_init__(self) -> None:
        check_how(self.detail)
        if self.refined not in (CONDITIONS, ALL):
            raise ConfigError(f"is {self.refined!r}", where="refined", remedy=f"choose {CONDITIONS} or {ALL}")


class LatentDiffusion:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = LatentDiffusionConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. Killed within the release of statistics it cannot resume: what that cost is gone."""
        settings = build_config(LatentDiffusionConfig, run.config)
        vocabulary = Vocabulary.of(run.images, settings.labels)
        statistics = _release_statistics(run, settings)
        plan = settings.plan(run.budget, statistics.spend.events)
        space = LatentSpace.load(run.out / STATISTICS / BASIS)
        network = new_network(settings, vocabulary, space, seed=run.seed).to(pick_device(run.device))
        loss = denoising_loss(_sizes(vocabulary), data_std=network.data_std, dropped=DROPPED)
        _teach(network, loss, run, settings, vocabulary=vocabulary, space=space)
        _freeze(network, settings.refined)
        train_network(
            network,
            loss,
            run,
            settings,
            images=scaled_latents(run.images, space),
            conditions=one_hot(vocabulary, vocabulary.numbers(run.images)),
            plan=plan,
        )
        save_tensors(run.out / WEIGHTS, network_tensors(network))
        _keep(run.out, space)
        return finish_run(
            run,
            name=NAME,
            settings=replace(settings, detail=str(statistics.config["detail"])),
            vocabulary=vocabulary,
            public_data=[*statistics.public_data, *_pretraining_entries(settings, run)],
            packages=("torch", "opacus", "scipy"),
            notes=statistics.notes if run.budget.is_private else statistics.notes[1:],
        )

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """See the protocol. Latents are denoised from noise, decoded, and given detail."""
        card = load_card(folder)
        settings = build_config(LatentDiffusionConfig, card.config)
        vocabulary, space = card_vocabulary(card), LatentSpace.load(folder / BASIS)
        network = new_network(settings, vocabulary, space, seed=0)
        load_network(network, read_tensors(folder / WEIGHTS))
        cells = vocabulary.cells(counts)
        progress(0, 2, "drawing latents")
        drawn = draw_latents(
            network,
            one_hot(vocabulary, vocabulary.numbers(cells)),
            n_labels=len(vocabulary.labels),
            guidance=settings.guidance,
            n_steps=settings.sampling_steps,
            random=torch.Generator().manual_seed(seed),
        )
        latents = drawn.double().numpy() * _scale(space)
        progress(1, 2, "adding detail")
        pixels = add_detail(
            space.decode(latents),
            space.low_rank(latents),
            how=settings.detail,
            folder=folder,
            basis=space.basis,
            size=card.image_size,
            channels=card.channels,
            rng=np.random.default_rng(seed),
            progress=progress,
        )
        progress(2, 2, "done")
        return synthetic_set(space.finish(pixels, latents), cells, card)


class _Released:
    """The recorder of the statistics: their costs go to the run's own log, which is reserved for the whole run.

    A resumed run whose log holds costs may not pay for statistics again: it would exceed its plan.
    """

    def __init__(self, run: Run, settings: LatentDiffusionConfig) -> None:
        self._run, self._settings = run, settings
        logged = read_log(run.out)
        self.was_charged = logged is not None and logged.n_steps > 0

    def reserve(self, planned: PrivacySpend) -> None:
        budget = self._run.budget
        whole = spend_of(
            self._settings.plan(budget, planned.events).events,
            delta=budget.target_delta,
            accountant=budget.accountant,
            privacy_unit=planned.privacy_unit,
        )
        if not self.was_charged:
            self._run.recorder.reserve(whole)

    def step(self, record: StepRecord) -> None:
        if self.was_charged:
            raise _lost(self._run)
        self._run.recorder.step(record)

    def settle(self, spent: PrivacySpend) -> None:
        """Nothing: the run settles once, at its end."""


def _lost(run: Run) -> ResumeError:
    return ResumeError(
        "was killed while its statistics were released; what they cost is spent and nothing was kept",
        where=str(run.out),
        remedy="train in a new folder with what is left of the budget",
    )


def _release_statistics(run: Run, settings: LatentDiffusionConfig) -> GeneratorCard:
    """A release of `latent-statistics` in a folder of its own, with its share of the budget. Raises ResumeError."""
    out = run.out / STATISTICS
    if (out / CARD).exists():
        return load_card(out)
    out.mkdir(exist_ok=True)
    released = _Released(run, settings)
    chosen = build_config(
        LatentStatisticsConfig,
        {
            name: getattr(settings, name)
            for name in ("basis", "basis_steps", "n_components", "detail", "detail_steps", "labels")
        }
        | {"spectrum_share": 0.0},  # the step it pays for is found on draws of the statistics, not of a denoiser
    )
    part = replace(
        run,
        out=out,
        budget=_share_of(run.budget, settings.statistics_share),
        config=asdict(chosen),
        recorder=Recorders((released, StepsLog(out))),
    )
    try:
        return LatentStatistics().train(part)
    except BudgetError as error:
        raise (_lost(run) if released.was_charged else error) from error


def _share_of(budget: PrivacyBudget, share: float) -> PrivacyBudget:
    """The budget of a Gaussian mechanism that takes `share` of what the whole budget's one would add to mu squared."""
    if not budget.is_private:
        return budget
    event = GaussianEvent(noise_multiplier=release_noise(budget, share=share), sample_rate=1.0, steps=1)
    return replace(budget, target_epsilon=epsilon_of((event,), budget.target_delta, budget.accountant))


def _teach(
    network: LatentDenoiser,
    loss: Loss,
    run: Run,
    settings: LatentDiffusionConfig,
    *,
    vocabulary: Vocabulary,
    space: LatentSpace,
) -> None:
    """Steps that cost nothing: on public latents, then on draws of the release, which has the last word."""
    if (run.out / PRETRAINED).exists():
        load_network(network, read_tensors(run.out / PRETRAINED))
        return
    drawn = _draws(run.out / STATISTICS, vocabulary, settings.n_draws, seed=run.seed)
    lessons = [(drawn, vocabulary.numbers(drawn), settings.draw_steps, "learning from the statistics")]
    if _has_public(settings, run):
        public = public_or_phantoms(run.public, run.images)
        numbers = vocabulary.known_numbers(public)
        lessons.insert(0, (public, numbers, settings.public_steps, "learning from public images"))
    for images, numbers, n_steps, message in lessons:
        pretrain(
            network,
            loss,
            scaled_latents(images, space),
            one_hot(vocabulary, numbers),
            n_steps=n_steps,
            learning_rate=PUBLIC_LEARNING_RATE,
            seed=run.seed,
            progress=run.progress,
            batch=PUBLIC_BATCH,
            average=PUBLIC_AVERAGE,
            message=message,
        )
    save_tensors(run.out / PRETRAINED, network_tensors(network))


def _keep(out: Path, space: LatentSpace) -> None:
    """What sampling needs of the statistics beside the network, so that the generator's digest covers it."""
    space.save(out / BASIS)
    if (out / STATISTICS / DETAIL).exists():
        save_tensors(out / DETAIL, load_tensors(out / STATISTICS / DETAIL))


def _draws(folder: Path, vocabulary: Vocabulary, n: int, *, seed: int) -> ImageSet:
    """About n draws of the release, as many of each label, sex and age group, unknown ones among them."""
    cells = [
        CellCount(label=label, n=1, sex=sex, age_group=age)
        for label in vocabulary.labels
        for sex in ("", *vocabulary.sexes)
        for age in ("", *vocabulary.age_groups)
    ]
    counts = [replace(cell, n=-(-n // len(cells))) for cell in cells]
    return LatentStatistics().sample(folder, counts, seed=seed, progress=no_progress)


def _has_public(settings: LatentDiffusionConfig, run: Run) -> bool:
    return settings.public_steps > 0 and (run.public is not None or phantoms_fit(run.images))


def _pretraining_entries(settings: LatentDiffusionConfig, run: Run) -> list[dict[str, str]]:
    return [public_entry(run.public, "pretraining")] if _has_public(settings, run) else []


def scaled_latents(images: ImageSet, space: LatentSpace) -> Tensor:
    """Latents [N, d], each clipped to the public radius and divided by the public deviation."""
    clipped = clip_norms(space.encode(unit_pixels(images)), space.radius)
    return torch.from_numpy(clipped / _scale(space)).float()


def _scale(space: LatentSpace) -> Array:
    return np.maximum(space.spread, 1e-3 * float(space.spread.max()))


def _sizes(vocabulary: Vocabulary) -> tuple[int, int, int]:
    return len(vocabulary.labels), len(vocabulary.sexes), len(vocabulary.age_groups)


def new_network(
    settings: LatentDiffusionConfig, vocabulary: Vocabulary, space: LatentSpace, *, seed: int
) -> LatentDenoiser:
    """Initial weights, which repeat by seed."""
    with seeded(seed):
        return LatentDenoiser(
            n_latents=space.n_latents,
            n_conditions=n_conditions(vocabulary),
            width=settings.width,
            depth=settings.depth,
            data_std=1.0,
        )


def _freeze(network: LatentDenoiser, refined: str) -> None:
    """Fewer weights meet less noise: noise grows with their number, what people say does not."""
    if refined == CONDITIONS:
        for name, parameter in network.named_parameters():
            parameter.requires_grad = name.startswith("conditions.")
