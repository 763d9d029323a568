"""What every gap between two cells of people reports, whatever figure it is a gap of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from audits.base import Measurement, Status
from audits.groups.cells import MIN_JUDGED, MIN_SHOWN, Cells
from audits.stats import percentile_interval

N_DRAWS = 400  # of people


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The widest gap. draws: the same gap on resampled people. n_orders: ordered pairs of cells it was chosen among."""

    best: str
    worst: str
    value: float
    baseline: float
    draws: Sequence[float]
    n_orders: int


def about(cells: Cells, people: Mapping[str, int], report: partial[Measurement]) -> partial[Measurement]:
    """`report` with the n of the cells that are shown; the sizes of the others never leave the site."""
    return partial(
        report, n={name: people[name] for name in cells.shown}, internal={"suppressed_people": dict(cells.suppressed)}
    )


def limits(cells: Cells, *, suppressed_as: str) -> dict[str, object]:
    """Details: cells that are too small to show or to judge, and how many people either takes."""
    return {
        suppressed_as: list(cells.suppressed),
        "not_judged": cells.not_judged,
        "min_people": MIN_SHOWN,
        "min_judged": MIN_JUDGED,
    }


def judged(
    report: partial[Measurement], cells: Cells, gap: Gap, *, verb: str, details: Mapping[str, object]
) -> Measurement:
    """DETECTED where the interval, widened for the choice among pairs (Bonferroni), lies above 0.

    verb: between best and worst in the sentence that accuses.
    """
    low, high = percentile_interval(gap.draws, confidence=1 - 0.05 / gap.n_orders)
    found = f"{gap.best} {verb} {gap.worst}" if low > 0 else ""
    return report(
        status=Status.DETECTED if low > 0 else Status.NOT_DETECTED,
        reason="; ".join(part for part in (found, cells.note) if part),
        value=gap.value,
        ci_low=low,
        ci_high=high,
        baseline=gap.baseline,
        details={**details, "best": gap.best, "worst": gap.worst},
    )
