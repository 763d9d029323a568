"""How much better an attack does on members than on other people: limits and the exact test, both by person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audits.base import Status
from audits.stats import Doubles

LEVEL = 0.01  # as for copies: an audit that speaks of people accuses rarely
N_DEALS = 999
Z95 = 1.959964

Mask = NDArray[np.bool_]


def mean_advantage(members: Doubles, others: Doubles) -> tuple[float, float, float]:
    """Difference of two means over people with its 95 % normal interval, variances apart (Welch 1947)."""
    value = float(members.mean() - others.mean())
    error = float(np.hypot(members.std(ddof=1) / len(members) ** 0.5, others.std(ddof=1) / len(others) ** 0.5))
    return value, value - Z95 * error, value + Z95 * error


def dealt_p_value(statistic: Callable[[Mask], float], n_members: int, n_people: int, *, seed: int) -> float:
    """P-value of "it does not matter who was trained on": members come first, then the same names are dealt anew.

    statistic: called with a mask [n_people] of who counts as a member; larger is more of a leak. Exact by exchange.
    """
    members = np.arange(n_people) < n_members
    rng = np.random.default_rng(seed)
    observed = statistic(members) - 1e-12
    return (1 + sum(statistic(rng.permutation(members)) >= observed for _ in range(N_DEALS))) / (N_DEALS + 1)


def verdict(p_value: float, planted: float, *, found: str, blind: str) -> tuple[Status, str]:
    """Status and reason; planted: the p-value of the planted leak; found, blind: what to say of either."""
    if p_value <= LEVEL:
        return Status.DETECTED, f"{found} (p = {p_value:.3f})"
    if planted > LEVEL:
        return Status.NO_POWER, f"{blind} (p = {planted:.2f})"
    return Status.NOT_DETECTED, ""
