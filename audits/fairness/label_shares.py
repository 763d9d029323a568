"""Shares: does each group carry the labels in the synthetic set that it carries in the cohort?"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Measurement, Status
from audits.registry import audit
from audits.stats import percentile_interval, rows_by_subject
from generators.data import ImageSet

Table = NDArray[Any]

GROUPINGS = ("sex", "age_group", "site")
MIN_PEOPLE = 30
N_DRAWS = 400


@audit("label_shares", question="Is the mix of labels in each group that of the cohort?")
def label_shares(data: AuditInput) -> list[Measurement]:
    """The largest difference, over groups and labels, between the source's and the synthetic share."""
    return [_shares(data, grouping) for grouping in GROUPINGS if grouping != "site" or data.train.site is not None]


def _shares(data: AuditInput, grouping: str) -> Measurement:
    report = partial(
        Measurement,
        name=f"label_shares.{grouping}",
        unit="difference of shares",
        method="largest |share of a label in a group, train minus synthetic|; interval by bootstrap, train by subject",
        source="direct count",
    )
    for name in ("train", "holdout", "synthetic"):
        arm = getattr(data, name)
        for column in ("label", grouping):
            if getattr(arm, column) is None:
                return report(status=Status.NOT_ASSESSABLE, reason=f"{name} has no column {column}")
    sizes = _people(data.train, grouping)
    cells = [name for name, n in sizes.items() if n >= MIN_PEOPLE]
    suppressed = {name: n for name, n in sizes.items() if n < MIN_PEOPLE}
    if not cells:
        return report(
            status=Status.NO_POWER, reason=f"no group has {MIN_PEOPLE} people", details={"suppressed": list(suppressed)}
        )
    return _compare(report, data, grouping, cells, suppressed)


def _compare(
    report: partial[Measurement], data: AuditInput, grouping: str, cells: list[str], suppressed: dict[str, int]
) -> Measurement:
    labels = sorted(set(_column(data.train, "label").tolist()) - {""})
    counts = {name: _counts(getattr(data, name), grouping, cells, labels) for name in ("train", "holdout", "synthetic")}
    shares = {name: _normalise(table.sum(axis=0)) for name, table in counts.items()}
    gaps = np.abs(shares["train"] - shares["synthetic"])
    group, label = np.unravel_index(int(gaps.argmax()), gaps.shape)
    rng = np.random.default_rng(data.seed)
    draws = [
        float(_redraw(counts["train"], rng)[group, label] - _redraw(counts["synthetic"], rng)[group, label])
        for _ in range(N_DRAWS)
    ]
    low, high = percentile_interval(draws, confidence=1 - 0.05 / gaps.size)
    apart = low > 0 or high < 0
    bounds = sorted((abs(low), abs(high)))
    return report(
        status=Status.DETECTED if apart else Status.NOT_DETECTED,
        reason=f"the largest difference is that of {labels[label]} in {cells[group]}",
        value=float(gaps.max()),
        ci_low=bounds[0] if apart else 0.0,
        ci_high=bounds[1],
        n=dict(zip(cells, (_people(data.train, grouping)[cell] for cell in cells), strict=True)),
        baseline=float(np.abs(shares["train"] - shares["holdout"]).max()),
        details={"suppressed": list(suppressed), "labels": labels},
        internal={
            "suppressed_people": suppressed,
            "shares": {name: dict(zip(cells, table.round(4).tolist(), strict=True)) for name, table in shares.items()},
        },
    )


def _column(arm: ImageSet, name: str) -> Table:
    return np.asarray(getattr(arm, name))


def _people(arm: ImageSet, grouping: str) -> dict[str, int]:
    column = _column(arm, grouping)
    return {name: arm.select(column == name).n_subjects for name in sorted(set(column.tolist()) - {""})}


def _counts(arm: ImageSet, grouping: str, cells: list[str], labels: list[str]) -> Table:
    """[subjects, cells, labels]: images of each subject in each cell."""
    group, label = _column(arm, grouping), _column(arm, "label")
    onehot = (group[:, None, None] == np.array(cells)[None, :, None]) & (
        label[:, None, None] == np.array(labels)[None, None]
    )
    return np.stack([onehot[rows].sum(axis=0) for rows in rows_by_subject(arm.subjects())])


def _redraw(counts: Table, rng: np.random.Generator) -> Table:
    return _normalise(counts[rng.integers(len(counts), size=len(counts))].sum(axis=0))


def _normalise(table: Table) -> Table:
    return np.asarray(table / np.maximum(table.sum(axis=1, keepdims=True), 1))
