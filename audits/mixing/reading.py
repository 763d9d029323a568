"""Reading a curve against a margin fixed beforehand: which shares harm, which do not, and which nobody can tell.

A share does not harm where the interval of its difference lies above minus the margin (non-inferiority; Ahn, Park and
Lee 2013, Radiology 267:328); it harms where the interval lies below 0 and reaches the margin; else there is no power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from audits.base import Status
from audits.stats import Doubles, percentile_interval


class Reading(StrEnum):
    """What one share does."""

    HELPS = "helps"
    FITS = "not worse"
    HARMS = "harms"
    OPEN = "cannot be decided"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One share: its difference to real images alone, the 95 % interval, and what that says."""

    share: str
    difference: float
    ci_low: float
    ci_high: float
    reading: Reading

    def as_details(self) -> dict[str, object]:
        """Its figures, for a report."""
        return {
            "difference": self.difference,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            "reading": self.reading.value,
        }


def read_point(
    share: str, difference: tuple[float, Doubles], *, margin: float, n_points: int, decidable: bool = True
) -> Point:
    """One point of `n_points`. decidable: whether so few people could show that the margin is kept.

    To harm or to help must be seen at 95 % over all points together (Bonferroni); the margin is kept at each one's own.
    """
    value, draws = difference
    low, high = percentile_interval(draws.tolist())
    together_low, together_high = percentile_interval(draws.tolist(), confidence=1 - 0.05 / n_points)
    reading = Reading.OPEN
    if low <= -margin and together_high < 0:
        reading = Reading.HARMS
    elif low > -margin and decidable:
        reading = Reading.HELPS if together_low > 0 else Reading.FITS
    return Point(share=share, difference=value, ci_low=low, ci_high=high, reading=reading)


def read_curve(points: Sequence[Point], registered: Point, *, margin: float) -> tuple[Status, str]:
    """The status of the whole curve and the sentence for the custodian.

    Harm at any share is harm. Else the share registered beforehand decides; what others show is told.
    """
    shares = {reading: [p.share for p in points if p.reading is reading] for reading in Reading}
    fitting = [p.share for p in points if p.reading in {Reading.HELPS, Reading.FITS}]
    parts = []
    if fitting:
        parts.append(f"{_named(fitting, points)} synthetic is not worse than real alone by more than {margin:.2g}")
    if shares[Reading.HELPS]:
        best = max((p for p in points if p.reading is Reading.HELPS), key=lambda p: p.difference)
        parts.append(f"most help comes at {best.share} ({best.difference:+.3f})")
    if shares[Reading.HARMS]:
        parts.append(f"at {_listed(shares[Reading.HARMS])} it harms")
    if shares[Reading.OPEN]:
        parts.append(f"at {_listed(shares[Reading.OPEN])} so few people cannot tell")
    if shares[Reading.HARMS]:
        return Status.DETECTED, "; ".join(parts)
    return Status.NO_POWER if registered.reading is Reading.OPEN else Status.NOT_DETECTED, "; ".join(parts)


def _named(shares: Sequence[str], points: Sequence[Point]) -> str:
    beginning = [p.share for p in points[: len(shares)]]
    return f"up to {shares[-1]}" if list(shares) == beginning else _listed(shares)


def _listed(shares: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(shares[:-1]), shares[-1])))
