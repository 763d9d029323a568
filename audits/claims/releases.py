"""The same question to one-shot releases: the trainer's own function is run again and again with and without a canary.

A canary is the worst subject that the release allows: far beyond every bound, with many images. What it should add to
each noisy table is known, so a run is one number: the release minus what the others add, along the canary's part, in
units that make it a unit Gaussian around 0 without the canary and around the claimed mu with it. Recorder and cohort
are the audit's own: nothing private is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from audits.claims.bounds import SHORT, MuBound, Tally, best_threshold, n_needed
from audits.claims.record import Part
from audits.stats import Doubles
from generators.data import Strings
from generators.privacy import PrivacySpend, StepRecord

LEAST_RUNS, MOST_RUNS = 2000, 8000
N_OTHERS, N_IMAGES = 6, 8
N_ALL = N_OTHERS + N_IMAGES
FAR = 1000.0

Draw = Callable[[bool], float]
"""draw(with_canary) -> one run's number."""


class NoLog:
    """The recorder of runs on canaries alone."""

    def reserve(self, planned: PrivacySpend) -> None:
        """Nothing: canaries are no people."""

    def step(self, record: StepRecord) -> None:
        """Nothing."""

    def settle(self, spent: PrivacySpend) -> None:
        """Nothing."""


def audit_release(draw: Draw, mu: float, *, alpha: float, seed: int, least: int | None = None) -> MuBound:
    """The bound on a release that claims `mu`. The threshold is fixed before the first run."""
    n = n_needed(mu, excess=1 / SHORT - 1, least=least or LEAST_RUNS, most=MOST_RUNS)
    threshold = best_threshold(mu, n_inside=n, n_outside=n, alpha=alpha)
    inside, outside = (np.array([draw(there) for _ in range(n)]) for there in (True, False))
    tally = Tally.of(inside / mu, outside / mu, threshold=threshold)
    return MuBound.of(tally, mu, threshold=threshold, alpha=alpha, seed=seed)


def noise_of(parts: Sequence[Part]) -> float:
    """The noise multiplier of releases taken as one Gaussian mechanism."""
    return 1 / math.sqrt(sum(part.steps * part.mu**2 for part in parts))


def names_of(n: int) -> Strings:
    return np.array([f"person {i}" if i < N_OTHERS else "canary" for i in range(n)])


def standardised(tables: Sequence[tuple[Doubles, Doubles, float]]) -> float:
    """Along the canary's part, each table weighed by its noise: a unit Gaussian without the canary.

    tables: what is left of the release, the canary's part, and the deviation of the noise (a symmetric table's
    off-diagonals have less by sqrt 2 and count twice, so that its Frobenius product is that of a plain table).
    """
    along = sum(float(np.vdot(left, part)) / std**2 for left, part, std in tables)
    return along / math.sqrt(sum(float(np.vdot(part, part)) / std**2 for _, part, std in tables))
