"""The real-against-real floor: a fidelity figure is read beside that of real training images, at equal n."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Measurement, Status
from audits.checks import too_few, white_level
from audits.embeddings import raw_pixels
from audits.embeddings.choice import choose
from audits.pixels import Floats, GreyView, by_block
from audits.sampling import at_most
from audits.stats import Z95, Doubles, half_sample_errors
from generators.data import ImageSet

N_DRAWS, KEPT = 40, 0.8
# Of each arm: some figures need all distances between two arms, forty times over.
MAX_IMAGES = 3000
Z99 = 2.575829

Rows = TypeVar("Rows", Floats, Doubles)
Figure = Callable[[Floats, Floats], float]
Figures = Callable[[Floats, Floats], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class FloorResult:
    """One figure: synthetic against holdout, and train against holdout, each with its standard error."""

    value: float
    error: float
    baseline: float
    baseline_error: float

    def status(self, *, higher_is_better: bool) -> Status:
        """DETECTED when the synthetic images fall short of the floor by more than both errors explain.

        At 99 %: a dozen figures are judged in one report, and real images must stand at the floor in all of them.
        """
        shortfall = (self.baseline - self.value) * (1 if higher_is_better else -1)
        return Status.DETECTED if shortfall > Z99 * np.hypot(self.error, self.baseline_error) else Status.NOT_DETECTED

    @property
    def interval(self) -> tuple[float, float]:
        """Normal 95 % interval of the value."""
        return self.value - Z95 * self.error, self.value + Z95 * self.error

    def filled(
        self, measurement: partial[Measurement], *, n: Mapping[str, int], higher_is_better: bool
    ) -> partial[Measurement]:
        """The measurement with value, interval, baseline and verdict."""
        low, high = self.interval
        return partial(
            measurement,
            status=self.status(higher_is_better=higher_is_better),
            value=self.value,
            ci_low=low,
            ci_high=high,
            n=n,
            baseline=self.baseline,
        )


@dataclass(frozen=True, kw_only=True)
class FloorReport:
    """Figures by name and extractor; n: images per arm, equal in all; extractors: their full names."""

    results: Mapping[str, Mapping[str, FloorResult]]
    n: Mapping[str, int]
    extractors: Mapping[str, str]


def against_floor(data: AuditInput, figures: Figures) -> FloorReport:
    """`figures(real, other)` for synthetic and for train against holdout, at equal n, in two feature spaces.

    The spaces are that of the run's extractor and raw pixels.
    """
    arms = equal_arms(data)
    white = white_level(data)
    results, extractors = {}, {}
    for key, embedding in (("default", choose(data)), ("pixels", raw_pixels())):
        at = {name: embedding.of(GreyView(sets=(arm,), white=white)) for name, arm in arms.items()}
        results[key] = _judged(at, arms, figures, seed=data.seed)
        extractors[key] = embedding.name
    return FloorReport(results=results, n={name: len(arm) for name, arm in arms.items()}, extractors=extractors)


def in_features(
    data: AuditInput, measurement: partial[Measurement], figure: Figure, *, higher_is_better: bool
) -> Measurement:
    """The measurement of one figure in the run's features, with the same in pixels among its details."""
    if reason := _too_few(data):
        return measurement(status=Status.NO_POWER, reason=reason)
    report = against_floor(data, lambda real, other: {"figure": figure(real, other)})
    main, pixels = report.results["default"]["figure"], report.results["pixels"]["figure"]
    return main.filled(measurement, n=report.n, higher_is_better=higher_is_better)(
        details={
            "features": dict(report.extractors),
            "in_pixels": {"value": pixels.value, "baseline": pixels.baseline},
        }
    )


def of_images(
    data: AuditInput,
    measurement: partial[Measurement],
    describe: Callable[[Floats], Doubles],
    figure: Callable[[Doubles, Doubles], float],
) -> Measurement:
    """The measurement of one distance, lower being better, between what `describe` makes of grey images [N, H, W]."""
    if reason := _too_few(data):
        return measurement(status=Status.NO_POWER, reason=reason)
    arms = equal_arms(data)
    at = {name: by_block(GreyView(sets=(arm,), white=white_level(data)), describe) for name, arm in arms.items()}
    found = _judged(at, arms, lambda real, other: {"figure": figure(real, other)}, seed=data.seed)["figure"]
    return found.filled(measurement, n={name: len(arm) for name, arm in arms.items()}, higher_is_better=False)()


def equal_arms(data: AuditInput) -> dict[str, ImageSet]:
    """Holdout, train and synthetic, each cut to the smallest, and to 3,000 images, by drawing whole subjects."""
    n = min(MAX_IMAGES, len(data.holdout), len(data.train), len(data.synthetic))
    return {name: at_most(getattr(data, name), n, seed=data.seed) for name in ("holdout", "train", "synthetic")}


def _too_few(data: AuditInput) -> str:
    return too_few(train=data.train, holdout=data.holdout, synthetic=data.synthetic)


def _judged(
    at: Mapping[str, Rows],
    arms: Mapping[str, ImageSet],
    figures: Callable[[Rows, Rows], dict[str, float]],
    *,
    seed: int,
) -> dict[str, FloorResult]:
    """Every figure of rows [N, D], synthetic and train against holdout, with errors by subject."""
    real, people = at["holdout"], {name: arm.subjects() for name, arm in arms.items()}

    def measured(name: str) -> tuple[dict[str, float], dict[str, float]]:
        def parts(left: NDArray[np.intp], right: NDArray[np.intp]) -> dict[str, float]:
            return figures(real[left], at[name][right])

        errors = half_sample_errors(parts, people["holdout"], people[name], n_draws=N_DRAWS, seed=seed, kept=KEPT)
        return figures(real, at[name]), errors

    (values, errors), (floor, floor_errors) = measured("synthetic"), measured("train")
    return {
        name: FloorResult(value=value, error=errors[name], baseline=floor[name], baseline_error=floor_errors[name])
        for name, value in values.items()
    }
