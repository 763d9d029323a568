"""How much better an attack does on members than on other people: limits and verdict, both by person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audits.base import Status
from audits.stats import Z95, Doubles

LEVEL = 0.01  # as for copies: an audit that speaks of people accuses rarely
N_DEALS = 999

Mask = NDArray[np.bool_]


def mean_advantage(members: Doubles, others: Doubles) -> tuple[float, float, float]:
    """Difference of two means over people with its 95 % normal interval, variances apart (Welch 1947)."""
    value = float(members.mean() - others.mean())
    error = float(np.hypot(members.std(ddof=1) / len(members) ** 0.5, others.std(ddof=1) / len(others) ** 0.5))
    return value, value - Z95 * error, value + Z95 * error


def first_are_members(n_members: int, n_people: int) -> Mask:
    """[n_people]: members come first."""
    return np.arange(n_people) < n_members


def verdict(p_value: float, planted: float, *, found: str, blind: str) -> tuple[Status, str]:
    """Status and reason; planted: the p-value of the planted leak; found, blind: what to say of either."""
    if p_value <= LEVEL:
        return Status.DETECTED, f"{found} (p = {p_value:.3f})"
    if planted > LEVEL:
        return Status.NO_POWER, f"{blind} (p = {planted:.2f})"
    return Status.NOT_DETECTED, ""
