"""The real-against-real floor: a fidelity figure is read beside that of real training images, at equal n."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Status
from audits.checks import white_level
from audits.embeddings import Embedding, multi_scale, raw_pixels
from audits.pixels import Floats, to_grey
from audits.stats import half_sample_errors
from generators.data import ImageSet

N_HALVES = 40
Z95 = 1.959964

Figures = Callable[[Floats, Floats], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class FloorResult:
    """One figure: synthetic against holdout, and train against holdout, each with its standard error."""

    value: float
    error: float
    baseline: float
    baseline_error: float

    def status(self, *, higher_is_better: bool) -> Status:
        """DETECTED when the synthetic images fall short of the floor by more than both errors explain."""
        shortfall = (self.baseline - self.value) * (1 if higher_is_better else -1)
        return Status.DETECTED if shortfall > Z95 * np.hypot(self.error, self.baseline_error) else Status.NOT_DETECTED

    @property
    def interval(self) -> tuple[float, float]:
        """Normal 95 % interval of the value."""
        return self.value - Z95 * self.error, self.value + Z95 * self.error


@dataclass(frozen=True, kw_only=True)
class FloorReport:
    """Figures by name and extractor; n: images per arm, equal in all; extractors: their full names."""

    results: Mapping[str, Mapping[str, FloorResult]]
    n: Mapping[str, int]
    extractors: Mapping[str, str]


def against_floor(data: AuditInput, figures: Figures) -> FloorReport:
    """`figures(real, other)` for synthetic and for train against holdout, at equal n, in two feature spaces.

    Each arm is cut to the smallest by drawing whole subjects in a seeded order, then trimming.
    """
    white = white_level(data)
    n = min(len(data.holdout), len(data.train), len(data.synthetic))
    arms = {name: _equal(getattr(data, name), n, seed=data.seed) for name in ("holdout", "train", "synthetic")}
    control = None if data.control is None else to_grey(data.control, white=white)
    results, extractors = {}, {}
    for key, embedding in (("default", multi_scale(control)), ("pixels", raw_pixels())):
        results[key] = _in_space(arms, embedding, figures, white=white, seed=data.seed)
        extractors[key] = embedding.name
    return FloorReport(results=results, n=dict.fromkeys(arms, n), extractors=extractors)


def _in_space(
    arms: Mapping[str, ImageSet], embedding: Embedding, figures: Figures, *, white: int, seed: int
) -> dict[str, FloorResult]:
    at = {name: embedding.extract(to_grey(arm, white=white)) for name, arm in arms.items()}
    measured = {}
    for name in ("synthetic", "train"):

        def halves(real: NDArray[np.intp], other: NDArray[np.intp], name: str = name) -> dict[str, float]:
            return figures(at["holdout"][real], at[name][other])

        errors = half_sample_errors(
            halves, arms["holdout"].subjects(), arms[name].subjects(), n_draws=N_HALVES, seed=seed
        )
        measured[name] = (figures(at["holdout"], at[name]), errors)
    (values, errors), (floor, floor_errors) = measured["synthetic"], measured["train"]
    return {
        name: FloorResult(value=value, error=errors[name], baseline=floor[name], baseline_error=floor_errors[name])
        for name, value in values.items()
    }


def _equal(arm: ImageSet, n: int, *, seed: int) -> ImageSet:
    """`n` images of an arm, subject by subject in a seeded order."""
    names, inverse = np.unique(arm.subjects(), return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(names))
    return arm.select(np.argsort(place[inverse], kind="stable")[:n])
