"""`private-evolution`: candidates of a simulator, kept, dropped and varied by noisy votes of the private images.

Lin et al. 2024 ("Differentially private synthetic data via foundation model APIs 1: images"), with a simulator in
the foundation model's place: phantoms, or the Gaussian of the operator's public images. Each round costs one Gaussian
mechanism on the histogram of votes (`votes`); the last round's candidates with their noisy votes are the generator.
No gradient is taken and no network trained: private images decide alone which candidates look like the cohort.

Sex and age group are not voted on: a synthetic image takes them from the simulator, which moves a candidate by what
phantoms or public images show of that group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generators.base import BudgetError, CellCount, ConfigError, GeneratorCard, Progress, ResumeError, Run
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.detail.steps import add_phantom_detail
from generators.folder import load_card, load_tensors, save_tensors
from generators.latent.basis import Array, PublicBasis, fit_basis, unit_pixels
from generators.latent.space import phantoms_fit
from generators.public.images import public_entry, public_or_phantoms
from generators.public.simulators import Candidates, LatentSimulator, PhantomSimulator, Simulator, Tensors
from generators.releases.votes import PHASE, Voters, noisy_votes, survivors, weights_of
from generators.steps_log import read_log
from generators.training import DpSgdPlan, make_plan, reserve_plan

NAME = "private-evolution"
POPULATION = "population.safetensors"
SIMULATOR = "simulator.safetensors"
SIMULATORS = ("auto", "phantoms", "public")
# Candidates of a label are as many as expected votes stand this many standard deviations of noise above nothing.
VOTES_OVER_NOISE = 2.0
FEWEST, MOST = 4, 300


@dataclass(frozen=True, kw_only=True)
class PrivateEvolutionConfig:
    """Settings. The budget is spread over the rounds; the other settings move quality, never the epsilon."""

    n_rounds: int = setting(3, "rounds of votes", low=1, high=100, changes_privacy=True)
    n_candidates: int = setting(
        0, "candidates of a label; 0 for as many as the public number and the noise carry", low=0, high=10_000
    )
    n_nearest: int = setting(2, "candidates that an image votes for", low=1, high=50)
    threshold: float = setting(0.5, "votes that do not count, in standard deviations of the noise", low=0, high=10)
    variation: float = setting(0.5, "share of a candidate that varies after the first round", low=0, high=1)
    variation_decay: float = setting(0.7, "factor on the variation from round to round", low=0.01, high=1)
    sample_variation: float = setting(0.3, "share of a candidate that varies when it is sampled", low=0, high=1)
    n_components: int = setting(
        6, "directions of the public space that votes are cast in, label directions first", low=2, high=512
    )
    n_simulated: int = setting(64, "directions that the public simulator varies, at most", low=2, high=512)
    simulator: str = setting("auto", "phantoms, public, or auto: the public set where one is given")
    detail: bool = setting(
        True, "add detail of phantoms where the simulator draws none (grey images of 16 to 512 pixels)"
    )
    labels: str = setting("", "the public label vocabulary, comma-separated; empty: the cohort's own words")


@dataclass(frozen=True, kw_only=True)
class Population:
    """Candidates, their noisy votes [B] and the number of rounds recorded when they were cast."""

    candidates: Candidates
    votes: Array
    n_rounds: int

    def save(self, path: Path) -> None:
        tensors = {"parameters": self.candidates.parameters, "numbers": self.candidates.numbers, "votes": self.votes}
        save_tensors(path, tensors | {"n_rounds": np.array(self.n_rounds)})

    @classmethod
    def load(cls, path: Path) -> Population:
        """Raises ResumeError."""
        tensors = load_tensors(path)
        candidates = Candidates(
            parameters=tensors["parameters"].astype(np.float64), numbers=tensors["numbers"].astype(np.intp)
        )
        return cls(
            candidates=candidates, votes=tensors["votes"].astype(np.float64), n_rounds=int(tensors["n_rounds"].item())
        )


class PrivateEvolution:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = PrivateEvolutionConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. Rounds that a killed run recorded and lost stay charged and are not cast again."""
        settings = build_config(PrivateEvolutionConfig, run.config)
        by_phantoms = _by_phantoms(settings, run)
        # Colour and small images have no phantoms to lend them detail, and a phantom needs none.
        settings = replace(settings, detail=settings.detail and not by_phantoms and phantoms_fit(run.images))
        vocabulary = Vocabulary.of(run.images, settings.labels)
        plan = make_plan(
            run.budget, batch_size=run.budget.public_n_subjects, n_steps=settings.n_rounds, max_grad_norm=1.0
        )
        n_candidates = settings.n_candidates or _as_many_as_carry(plan, run, len(vocabulary.labels))
        run.progress(0, settings.n_rounds, "fitting the public basis")
        public = public_or_phantoms(run.public, run.images)
        basis = fit_basis(public, n_components=settings.n_components, radius_quantile=0.9, whitening=1.0)
        simulator: Simulator
        if by_phantoms:
            simulator = PhantomSimulator(vocabulary, run.images.images.shape[1])
        else:
            fine = fit_basis(public, n_components=_n_fine(settings, public), radius_quantile=0.9, whitening=1.0)
            simulator = LatentSimulator.of(public, fine, vocabulary)
        if not by_phantoms:
            save_tensors(run.out / SIMULATOR, simulator.tensors())
        reserve_plan(plan, run)
        _evolve(simulator, basis, vocabulary, run, plan=plan, settings=settings, n_candidates=n_candidates)
        used = [public_entry(run.public, "votes" if by_phantoms else "votes and simulator")]
        if by_phantoms or settings.detail:
            used.append(public_entry(None, "simulator" if by_phantoms else "detail"))
        return finish_run(
            run,
            name=NAME,
            settings=replace(settings, simulator="phantoms" if by_phantoms else "public"),
            vocabulary=vocabulary,
            public_data=used,
            packages=("scipy",),
            notes=("sex and age group are the simulator's, not voted on",),
        )

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """See the protocol. Candidates are drawn by their noisy votes, each varied anew."""
        card = load_card(folder)
        settings = build_config(PrivateEvolutionConfig, card.config)
        vocabulary = card_vocabulary(card)
        cells = vocabulary.cells(counts)
        numbers = vocabulary.numbers(cells)
        simulator = _load_simulator(folder, settings, vocabulary, card.image_size)
        rng = np.random.default_rng(seed)
        progress(0, 2, "drawing candidates")
        population = Population.load(folder / POPULATION)
        drawn = population.candidates.select(_by_votes(population, numbers[:, 0], card, settings, rng))
        drawn = simulator.moved(simulator.vary(drawn, settings.sample_variation, rng), numbers[:, 1:])
        pixels = simulator.render(drawn, rng)
        progress(1, 2, "adding detail")
        if isinstance(simulator, LatentSimulator) and settings.detail and card.channels == 1:
            basis = simulator.basis
            pixels = add_phantom_detail(pixels, drawn.parameters, basis=basis, size=card.image_size, rng=rng)
        progress(2, 2, "done")
        return synthetic_set(pixels, cells, card)


def _by_phantoms(settings: PrivateEvolutionConfig, run: Run) -> bool:
    """Whether phantoms are the simulator. Raises ConfigError."""
    wish = settings.simulator
    if wish not in SIMULATORS:
        raise ConfigError(f"is {wish!r}", where="simulator", remedy=f"choose one of {', '.join(SIMULATORS)}")
    if wish == "public" and run.public is None:
        raise ConfigError("is public without a public set", where="simulator", remedy="name a public set or phantoms")
    by_phantoms = wish == "phantoms" or (wish == "auto" and run.public is None)
    if by_phantoms and not phantoms_fit(run.images):
        raise ConfigError(
            "phantoms are grey, of 16 to 512 pixels",
            where="simulator",
            remedy="name a public set of images like these",
        )
    return by_phantoms


def _n_fine(settings: PrivateEvolutionConfig, public: ImageSet) -> int:
    """Directions of the public simulator: few public images span few."""
    return max(settings.n_components, min(settings.n_simulated, len(public) // 3))


def _as_many_as_carry(plan: DpSgdPlan, run: Run, n_labels: int) -> int:
    """Candidates of a label, from public numbers alone. Raises BudgetError where noise would drown the votes."""
    subjects = run.budget.public_n_subjects / n_labels
    n = int(subjects / max(1.0, VOTES_OVER_NOISE * plan.noise_multiplier))
    if n < FEWEST:
        raise BudgetError(
            f"noise of {plan.noise_multiplier:.1f} votes would drown those of {subjects:.0f} subjects a label",
            where="epsilon",
            remedy="allow a larger epsilon, fewer rounds, or set n_candidates",
        )
    return min(n, MOST)


def _evolve(
    simulator: Simulator,
    basis: PublicBasis,
    vocabulary: Vocabulary,
    run: Run,
    *,
    plan: DpSgdPlan,
    settings: PrivateEvolutionConfig,
    n_candidates: int,
) -> None:
    """Cast the rounds that `steps.log` does not hold yet, each one on disk before the next. Raises ResumeError."""
    images = run.images
    voters = Voters(
        latents=basis.encode(unit_pixels(images)),
        labels=vocabulary.numbers(images)[:, 0],
        subjects=images.subjects(),
    )
    path, logged = run.out / POPULATION, read_log(run.out)
    population = Population.load(path) if path.exists() else None
    for step in range(0 if logged is None else logged.steps_of(PHASE), plan.n_steps):
        rng = np.random.default_rng([run.seed, step])
        if population is None:
            candidates = simulator.draw(np.repeat(np.arange(len(vocabulary.labels)), n_candidates), rng)
        else:
            candidates = _next_generation(simulator, population, plan, settings, rng)
        votes = noisy_votes(
            voters,
            basis.encode(simulator.render(candidates, rng)),
            candidates.numbers[:, 0],
            n_nearest=min(settings.n_nearest, n_candidates),
            noise_multiplier=plan.noise_multiplier,
            step=step,
            recorder=run.recorder,
        )
        population = Population(candidates=candidates, votes=votes, n_rounds=step + 1)
        population.save(path)
        run.progress(step + 1, plan.n_steps, "votes")
    if population is None:
        raise ResumeError(
            "every round is recorded and none was kept", where=str(run.out), remedy="train again in a new folder"
        )


def _next_generation(
    simulator: Simulator,
    population: Population,
    plan: DpSgdPlan,
    settings: PrivateEvolutionConfig,
    rng: np.random.Generator,
) -> Candidates:
    """Survivors by noisy votes. The first copy of each stays as it is, so that what was good is not lost again."""
    labels = population.candidates.numbers[:, 0]
    weights = weights_of(population.votes, labels, threshold=settings.threshold * plan.noise_multiplier)
    drawn = survivors(weights, labels, rng)
    strength = settings.variation * settings.variation_decay ** (population.n_rounds - 1)
    kept = population.candidates.select(drawn)
    varied = simulator.vary(kept, strength, rng)
    first = np.zeros(len(drawn), dtype=bool)
    first[np.unique(drawn, return_index=True)[1]] = True
    return Candidates(parameters=np.where(first[:, None], kept.parameters, varied.parameters), numbers=varied.numbers)


def _by_votes(
    population: Population,
    labels: NDArray[np.intp],
    card: GeneratorCard,
    settings: PrivateEvolutionConfig,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """A candidate of each label [n], by its noisy votes."""
    noise = card.spend.events[0].noise_multiplier
    own = population.candidates.numbers[:, 0]
    weights = weights_of(population.votes, own, threshold=settings.threshold * noise)
    drawn = np.zeros(len(labels), dtype=np.intp)
    for label in np.unique(labels):
        asked = labels == label
        drawn[asked] = rng.choice(len(own), size=int(asked.sum()), p=np.where(own == label, weights, 0.0))
    return drawn


def _load_simulator(folder: Path, settings: PrivateEvolutionConfig, vocabulary: Vocabulary, size: int) -> Simulator:
    if settings.simulator == "phantoms":
        return PhantomSimulator(vocabulary, size)
    tensors: Tensors = load_tensors(folder / SIMULATOR)
    return LatentSimulator.load(tensors)
