"""Epsilon from one training run in which many canaries each took part by a coin, and an auditor guessed the coins.

m canaries, r of them guessed, v guesses right. Steinke, Nasr and Jagielski 2023 bound how often that happens under
(epsilon, delta)-DP; Mahloujifar, Melis and Chaudhuri 2024 do so for a whole trade-off curve, here the Gaussian one,
which loses less. Both say little where m is small, however good the attack: their ceilings say how little.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri

from generators.accounting import gaussian_epsilon

LARGEST = 64.0


def steinke_p_value(m: int, r: int, v: int, *, epsilon: float, delta: float) -> float:
    """Chance of v right guesses or more of r under (epsilon, delta)-DP (their theorem 5.2)."""
    right = 1 / (1 + math.exp(-epsilon))
    beta = float(stats.binom.sf(v - 1, r, right))
    if delta == 0 or v == 0:
        return beta
    steps = np.arange(1, v + 1)
    between = stats.binom.sf(v - steps - 1, r, right) - beta
    return min(1.0, beta + 2 * m * delta * max(0.0, float((between / steps).max())))


def steinke_bound(m: int, r: int, v: int, *, delta: float, alpha: float) -> float:
    """Epsilon is at least this with confidence 1 - alpha."""
    return _largest(lambda epsilon: steinke_p_value(m, r, v, epsilon=epsilon, delta=delta) <= alpha)


def gaussian_refuted(m: int, r: int, v: int, *, mu: float, alpha: float) -> bool:
    """Whether v right guesses of r would happen with chance below alpha under mu-GDP (their algorithm 3, two symbols).

    Follows, from v guesses down to none, the least mass that the tail of right (`right`) and wrong (`wrong`) guesses
    must have had; the mechanism is refuted where together they exceed the guesses that there were.
    """
    right, wrong = alpha * v / m, alpha * (r - v) / m
    for i in range(v - 1, -1, -1):
        reached = max(wrong, float(ndtr(ndtri(min(right, 1.0)) - mu)))
        right, wrong = right + i / (r - i) * (reached - wrong), reached
    return right + wrong > r / m


def gaussian_bound(m: int, r: int, v: int, *, alpha: float) -> float:
    """mu is at least this with confidence 1 - alpha, where the trade-off curve is a Gaussian's."""
    return 0.0 if not v else _largest(lambda mu: gaussian_refuted(m, r, v, mu=mu, alpha=alpha))


def gaussian_epsilon_bound(m: int, r: int, v: int, *, delta: float, alpha: float) -> float:
    """`gaussian_bound` as epsilon at delta."""
    mu = gaussian_bound(m, r, v, alpha=alpha)
    return gaussian_epsilon(mu, delta) if mu > 0 else 0.0


def ceilings(m: int, r: int, *, delta: float, alpha: float) -> tuple[float, float]:
    """The most that either method says of m canaries and r guesses: all of them right."""
    perfect = {"delta": delta, "alpha": alpha}
    return steinke_bound(m, r, r, **perfect), gaussian_epsilon_bound(m, r, r, **perfect)


def best_guesses(m: int, *, mu: float, delta: float, alpha: float) -> int:
    """How many canaries to guess so that the bound is largest under mu-GDP; fixed before anything is seen.

    The auditor guesses as many present as absent, those with the most extreme scores. So few that the ceiling would
    lie below the claim are chosen only where more would not help.
    """
    choices = sorted({max(2, 2 * round(share * m / 2)) for share in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0)})
    able = [r for r in choices if gaussian_bound(m, r, r, alpha=alpha) > mu]
    return max(
        able or choices, key=lambda r: gaussian_epsilon_bound(m, r, _expected_right(m, r, mu), delta=delta, alpha=alpha)
    )


def _expected_right(m: int, r: int, mu: float) -> int:
    """Right guesses among the r most extreme of m scores, half of them mu further out."""
    low, high = -10.0, mu + 10.0
    for _ in range(60):
        cut = (low + high) / 2
        above = (ndtr(mu - cut) + ndtr(-cut)) / 2
        low, high = (cut, high) if above > r / (2 * m) else (low, cut)
    return round(m * float(ndtr(mu - low)))


def _largest(refuted: Callable[[float], bool]) -> float:
    """The largest value that is refuted, by bisection; 0 where none is."""
    if not refuted(1e-6):
        return 0.0
    low, high = 1e-6, 1.0
    while high < LARGEST and refuted(high):
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
