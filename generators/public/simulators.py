"""Where candidates come from that cost no privacy: phantoms by their parameters, or the Gaussian of a public set.

A simulator draws candidates of a label, varies them, moves them to a sex or an age group, and renders them. Nothing
here sees a private image: whatever a simulator knows comes from phantoms or from the operator's public images.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.groups import age_groups
from generators.latent.basis import Array, PublicBasis, unit_pixels
from generators.phantoms import LABELS
from generators.phantoms.anatomy import Anatomy, Visit, draw_anatomy, draw_visits
from generators.phantoms.render import render

Pixels = NDArray[np.float32]
Tensors = dict[str, NDArray[np.generic]]

POOL = 3000
POOL_SEED = 31_000
# As wide as the phantoms that public bases are fitted to: another hospital's pose and exposure lie within.
SPREAD = 1.5
RENDERED_AT_ONCE = 1 << 19  # pixels
RIDGE = 1.0
# What a variation leaves: who the phantom is and which finding it has, since that is what votes choose by.
KEPT = ("female", "age", "finding")


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """parameters [n, p] of a simulator; numbers [n, 3] as of `Vocabulary.numbers`, groups -1 where they have none."""

    parameters: Array
    numbers: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.parameters)

    def select(self, index: NDArray[np.intp]) -> Candidates:
        return Candidates(parameters=self.parameters[index], numbers=self.numbers[index])


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What a label, a sex, an age group adds to parameters: [words, p] each, zeros for a word nobody showed."""

    label: Array
    sex: Array
    age: Array

    @classmethod
    def of(cls, candidates: Candidates, vocabulary: Vocabulary) -> Effects:
        """Least squares with a slight ridge on public candidates, around their mean."""
        sizes = [len(words) for words in (vocabulary.labels, vocabulary.sexes, vocabulary.age_groups)]
        columns = [np.eye(size + 1)[no][:, :size] for size, no in zip(sizes, candidates.numbers.T, strict=True)]
        design = np.concatenate([np.ones((len(candidates), 1)), *columns], axis=1)
        penalty = np.diag([1e-6] + [RIDGE] * sum(sizes))
        fitted = np.linalg.solve(design.T @ design + penalty, design.T @ candidates.parameters)
        label, sex, age = np.split(fitted[1:], np.cumsum(sizes)[:-1])
        return cls(label=label, sex=sex, age=age)

    def moved(self, candidates: Candidates, groups: NDArray[np.intp]) -> Candidates:
        """The candidates as people of another sex and age group: groups [n, 2], -1 to leave theirs."""
        parameters, numbers = candidates.parameters.copy(), candidates.numbers.copy()
        for column, effects in enumerate((self.sex, self.age)):
            if not len(effects):
                continue
            own, asked = numbers[:, 1 + column], groups[:, column]
            padded = np.vstack([effects, np.zeros(effects.shape[1])])  # -1 finds the zeros
            # A word that no public image bears has no effect to move by, not the effect zero.
            shown = (asked >= 0) & np.any(padded[asked] != 0, axis=1)
            parameters[shown] += padded[asked[shown]] - padded[own[shown]]
            numbers[:, 1 + column] = np.where(asked >= 0, asked, own)
        return Candidates(parameters=parameters, numbers=numbers)


class Simulator(Protocol):
    """Candidates without privacy cost. Deterministic in the `rng` that each call is given.

    low_rank: whether its images lack fine detail.
    """

    low_rank: bool

    def draw(self, labels: NDArray[np.intp], rng: np.random.Generator) -> Candidates:
        """One candidate for each label number [n]."""

    def vary(self, candidates: Candidates, strength: float, rng: np.random.Generator) -> Candidates:
        """Near candidates of the same labels: strength 0 changes nothing, 1 draws anew."""

    def moved(self, candidates: Candidates, groups: NDArray[np.intp]) -> Candidates:
        """See `Effects.moved`."""

    def render(self, candidates: Candidates, rng: np.random.Generator) -> Pixels:
        """Images [n, D] in [0, 1], or nearly."""

    def tensors(self) -> Tensors:
        """What sampling needs beside the generator card."""


class PhantomSimulator:
    """Procedural phantoms. A label that phantoms know fixes the finding; under any other name every finding occurs.

    A variation keeps each parameter with probability 1 - strength and else takes that of a fresh phantom, so that
    every parameter stays in its own distribution, angles and phases included. Sex, age and finding stay.
    """

    low_rank = False

    def __init__(self, vocabulary: Vocabulary, size: int) -> None:
        self._vocabulary, self._size = vocabulary, size
        self._findings = np.array([LABELS.index(word) if word in LABELS else -1 for word in vocabulary.labels])
        layout = _flat(*_people(np.zeros(1, dtype=np.intp), np.random.default_rng(0)))
        self._widths = {name: part.shape[1] for name, part in layout.items()}
        rng = np.random.default_rng(POOL_SEED)
        self._effects = Effects.of(self.draw(rng.integers(0, len(vocabulary.labels), POOL), rng), vocabulary)

    def draw(self, labels: NDArray[np.intp], rng: np.random.Generator) -> Candidates:
        known = self._findings[labels]
        return self._drawn(labels, np.where(known >= 0, known, rng.integers(0, len(LABELS), len(labels))), rng)

    def _drawn(self, labels: NDArray[np.intp], finding: NDArray[np.intp], rng: np.random.Generator) -> Candidates:
        people, visits = _people(finding, rng)
        words = ImageSet(
            images=np.zeros((len(labels), 1, 1), dtype=np.uint8),
            label=np.array(self._vocabulary.labels, dtype=np.str_)[labels],
            sex=np.where(people.female > 0, "F", "M"),
            age_group=age_groups(people.age.tolist()),
        )
        parameters = np.concatenate(list(_flat(people, visits).values()), axis=1)
        return Candidates(parameters=parameters, numbers=self._vocabulary.known_numbers(words))

    def vary(self, candidates: Candidates, strength: float, rng: np.random.Generator) -> Candidates:
        fresh = self._drawn(candidates.numbers[:, 0], self._column(candidates, "finding").astype(np.intp), rng)
        changed = {name: rng.random(len(candidates)) < strength for name in self._widths}
        changed |= dict.fromkeys(KEPT, np.zeros(len(candidates), dtype=bool))
        mask = np.concatenate(
            [np.repeat(changed[name][:, None], k, axis=1) for name, k in self._widths.items()], axis=1
        )
        return replace(candidates, parameters=np.where(mask, fresh.parameters, candidates.parameters))

    def moved(self, candidates: Candidates, groups: NDArray[np.intp]) -> Candidates:
        return self._effects.moved(candidates, groups)

    def render(self, candidates: Candidates, rng: np.random.Generator) -> Pixels:
        ends = np.cumsum(list(self._widths.values()))
        step = max(1, RENDERED_AT_ONCE // self._size**2)
        parts = []
        for start in range(0, len(candidates), step):
            rows = candidates.parameters[start : start + step].astype(np.float32)
            split = dict(zip(self._widths, np.split(rows, ends[:-1], axis=1), strict=True))
            people, visits = _unflat(split)
            parts.append(render(people, visits, size=self._size, rng=rng).reshape(len(rows), -1))
        return np.concatenate(parts).astype(np.float32)

    def tensors(self) -> Tensors:
        return {}

    def _column(self, candidates: Candidates, name: str) -> Array:
        before = list(self._widths).index(name)
        return np.asarray(candidates.parameters[:, sum(list(self._widths.values())[:before])])


@dataclass(frozen=True, kw_only=True)
class LatentSimulator:
    """The Gaussian of a public set's latents: means by label where the set knows the label, one spread [d, d]."""

    basis: PublicBasis
    effects: Effects
    spread: Array
    low_rank = True

    @classmethod
    def of(cls, public: ImageSet, basis: PublicBasis, vocabulary: Vocabulary) -> LatentSimulator:
        latents = basis.encode(unit_pixels(public))
        shown = Candidates(parameters=latents, numbers=vocabulary.known_numbers(public))
        effects = Effects.of(shown, vocabulary)
        centred = latents - np.vstack([effects.label, np.zeros(latents.shape[1])])[shown.numbers[:, 0]]
        covariance = np.cov(centred.T) + 1e-6 * np.eye(latents.shape[1])
        return cls(basis=basis, effects=effects, spread=np.asarray(np.linalg.cholesky(covariance), dtype=np.float64))

    def draw(self, labels: NDArray[np.intp], rng: np.random.Generator) -> Candidates:
        numbers = np.stack([labels, np.full(len(labels), -1), np.full(len(labels), -1)], axis=1)
        return Candidates(parameters=self.effects.label[labels] + self._noise(len(labels), rng), numbers=numbers)

    def vary(self, candidates: Candidates, strength: float, rng: np.random.Generator) -> Candidates:
        centre = self.effects.label[candidates.numbers[:, 0]]
        kept = np.sqrt(1 - strength**2) * (candidates.parameters - centre)
        return replace(candidates, parameters=centre + kept + strength * self._noise(len(candidates), rng))

    def moved(self, candidates: Candidates, groups: NDArray[np.intp]) -> Candidates:
        return self.effects.moved(candidates, groups)

    def render(self, candidates: Candidates, rng: np.random.Generator) -> Pixels:  # noqa: ARG002 (the protocol's)
        return self.basis.decode(candidates.parameters)

    def tensors(self) -> Tensors:
        effects = {f"effects.{name}": np.asarray(value) for name, value in asdict(self.effects).items()}
        basis = {f"basis.{name}": np.asarray(value) for name, value in asdict(self.basis).items()}
        return basis | effects | {"spread": self.spread}

    @classmethod
    def load(cls, tensors: Tensors) -> LatentSimulator:
        """From what `tensors` gave."""
        basis = {name: tensors[f"basis.{name}"].astype(np.float32) for name in ("mean", "directions", "scale")}
        effects = {field.name: tensors[f"effects.{field.name}"].astype(np.float64) for field in fields(Effects)}
        return cls(
            basis=PublicBasis(**basis, radius=float(tensors["basis.radius"].item())),
            effects=Effects(**effects),
            spread=tensors["spread"].astype(np.float64),
        )

    def _noise(self, n: int, rng: np.random.Generator) -> Array:
        return np.asarray(rng.standard_normal((n, len(self.spread))) @ self.spread.T)


def _people(finding: NDArray[np.intp], rng: np.random.Generator) -> tuple[Anatomy, Visit]:
    people = draw_anatomy(rng, finding)
    return people, draw_visits(rng, len(finding), first=np.ones(len(finding), dtype=bool), variation=SPREAD)


def _flat(people: Anatomy, visits: Visit) -> dict[str, Array]:
    """Every parameter as a column or several, [n, k] each, by its name."""
    return {
        name: np.asarray(value, dtype=np.float64).reshape(len(people.age), -1)
        for name, value in (vars(people) | vars(visits)).items()
    }


def _unflat(columns: dict[str, NDArray[np.float32]]) -> tuple[Anatomy, Visit]:
    values = {name: part[:, 0] if part.shape[1] == 1 else part for name, part in columns.items()}
    anatomy = {field.name: values[field.name] for field in fields(Anatomy)}
    return Anatomy(**anatomy), Visit(**{field.name: values[field.name] for field in fields(Visit)})
