"""How much one person moves a Gaussian mechanism at least, from how often a canary's part is told right.

A mechanism is mu-GDP where nobody can tell with and without one person better than two unit Gaussians mu apart (Dong,
Roth and Su 2022). One threshold, fixed before anything is seen, gives a rate of misses and one of false alarms; exact
upper limits of both (Clopper and Pearson 1934) give a lower bound on mu (Nasr et al. 2023, section 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from audits.stats import Doubles

# In units of the clipping norm. A canary's part arrives a hair below 1, so no threshold is set there.
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
SMALLEST_P = 1e-12
# Noise that every audit here must be able to find short, as a share of the claimed one.
SHORT = 0.8
N_PLANTED = 400


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Observations on either side of a threshold that was fixed before any was seen.

    n_inside: with a canary's part, n_missed of them below it. n_outside: without, n_alarms of them not below it.
    """

    n_inside: int
    n_missed: int
    n_outside: int
    n_alarms: int

    @classmethod
    def of(cls, inside: Doubles, outside: Doubles, *, threshold: float) -> Tally:
        return cls(
            n_inside=len(inside),
            n_missed=int((inside < threshold).sum()),
            n_outside=len(outside),
            n_alarms=int((outside >= threshold).sum()),
        )

    def mu_bound(self, alpha: float) -> float:
        """mu is at least this with confidence 1 - alpha; 0 where nothing was shown."""
        misses = _upper(self.n_missed, self.n_inside, alpha / 2)
        alarms = _upper(self.n_alarms, self.n_outside, alpha / 2)
        return max(0.0, -float(special.ndtri(misses) + special.ndtri(alarms)))

    def ceiling(self, alpha: float) -> float:
        """The most that `mu_bound` could say for so many observations: no miss and no false alarm."""
        return Tally(n_inside=self.n_inside, n_missed=0, n_outside=self.n_outside, n_alarms=0).mu_bound(alpha)

    def p_value(self, mu: float) -> float:
        """Of "the mechanism is mu-GDP": the smallest alpha at which the bound lies above mu."""
        low, high = math.log(SMALLEST_P), 0.0
        if self.mu_bound(1.0) <= mu:
            return 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (low, middle) if self.mu_bound(math.exp(middle)) > mu else (middle, high)
        return math.exp(high)


@dataclass(frozen=True, kw_only=True)
class MuBound:
    """One mechanism's bound. mu: at least, at 1 - alpha. ceiling: the most that so many observations could show.

    found: how often noise a fifth short is found at so many observations; accused: how often noise as claimed is.
    """

    mu: float
    claimed_mu: float
    ceiling: float
    p_value: float
    found: float
    accused: float
    threshold: float
    tally: Tally

    @property
    def exceeds(self) -> bool:
        return self.mu > self.claimed_mu

    @classmethod
    def of(
        cls, tally: Tally, claimed_mu: float, *, threshold: float, alpha: float, seed: int, planted: float = 1 / SHORT
    ) -> MuBound:
        """planted: the fault that `found` speaks of, as a multiple of the claimed mu."""
        found, accused = (
            _recall(mu, claimed_mu, threshold=threshold, of=tally, alpha=alpha, seed=seed)
            for mu in (planted * claimed_mu, claimed_mu)
        )
        return cls(
            mu=tally.mu_bound(alpha),
            claimed_mu=claimed_mu,
            ceiling=tally.ceiling(alpha),
            p_value=tally.p_value(claimed_mu),
            found=found,
            accused=accused,
            threshold=threshold,
            tally=tally,
        )


def best_threshold(mu: float, *, n_inside: int, n_outside: int, alpha: float) -> float:
    """The threshold whose bound is largest where the mechanism is what it claims; from public numbers alone."""
    return max(THRESHOLDS, key=lambda t: _expected(t, mu, n_inside, n_outside).mu_bound(alpha))


def _recall(mu: float, claimed: float, *, threshold: float, of: Tally, alpha: float, seed: int) -> float:
    """How often a Gaussian mechanism of that mu, seen as often as `of`, is found to exceed the claimed one."""
    rng = np.random.default_rng(seed)
    missed = rng.binomial(of.n_inside, special.ndtr((threshold - 1) * mu), N_PLANTED)
    alarms = rng.binomial(of.n_outside, special.ndtr(-threshold * mu), N_PLANTED)
    drawn = (
        Tally(n_inside=of.n_inside, n_missed=int(m), n_outside=of.n_outside, n_alarms=int(a))
        for m, a in zip(missed, alarms, strict=True)
    )
    return float(np.mean([tally.mu_bound(alpha) > claimed for tally in drawn]))


def n_needed(mu: float, *, excess: float, least: int, most: int) -> int:
    """Observations of each kind with which a mu above the claim by the share `excess` is found nearly always.

    The bound's standard error is about 1.8 / sqrt n, and 3.5 of them are needed. Within limits.
    """
    return int(min(max((6.2 / (excess * mu)) ** 2, least), most))


def _expected(threshold: float, mu: float, n_inside: int, n_outside: int) -> Tally:
    return Tally(
        n_inside=n_inside,
        n_missed=round(n_inside * float(special.ndtr((threshold - 1) * mu))),
        n_outside=n_outside,
        n_alarms=round(n_outside * float(special.ndtr(-threshold * mu))),
    )


def _upper(k: int, n: int, alpha: float) -> float:
    """One-sided exact upper limit of a proportion."""
    return 1.0 if k >= n else float(special.betainccinv(k + 1, n - k, alpha))
