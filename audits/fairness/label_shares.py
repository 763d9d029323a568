"""Shares: does each group carry the labels in the synthetic set that it carries in the cohort?"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Measurement, Status
from audits.groups.cells import MIN_JUDGED, MIN_SHOWN, Cells, groupings_of, people_of
from audits.registry import audit
from audits.stats import percentile_interval
from generators.data import ImageSet

Table = NDArray[Any]

N_DRAWS = 400


@audit("label_shares", question="Is the mix of labels in each group that of the cohort?")
def label_shares(data: AuditInput) -> list[Measurement]:
    """The largest difference, over groups and labels, between the source's and the synthetic share."""
    return [_shares(data, grouping) for grouping in groupings_of(data, crossed=False)]


def _shares(data: AuditInput, grouping: str) -> Measurement:
    report = partial(
        Measurement,
        name=f"label_shares.{grouping}",
        unit="difference of shares",
        method=(
            "largest |share of a label in a group, train minus synthetic|, over groups of "
            f"{MIN_JUDGED} people and more, shown from {MIN_SHOWN}; interval by bootstrap, train by subject"
        ),
        source="direct count",
    )
    for name in ("train", "holdout", "synthetic"):
        arm = getattr(data, name)
        for column in ("label", grouping):
            if getattr(arm, column) is None:
                return report(status=Status.NOT_ASSESSABLE, reason=f"{name} has no column {column}")
    cells = Cells.of(people_of(_column(data.train, grouping), data.train.subjects()))
    return _compare(report, data, grouping, cells)


def _compare(report: partial[Measurement], data: AuditInput, grouping: str, cells: Cells) -> Measurement:
    labels = sorted(set(_column(data.train, "label").tolist()) - {""})
    groups = [*cells.judged, *cells.not_judged]
    counts = {
        name: _counts(getattr(data, name), grouping, groups, labels) for name in ("train", "holdout", "synthetic")
    }
    shares = {name: _normalise(table.sum(axis=0)) for name, table in counts.items()}
    people = people_of(_column(data.train, grouping), data.train.subjects())
    report = partial(
        report,
        n={group: people[group] for group in groups},
        details={
            "suppressed": list(cells.suppressed),
            "not_judged": cells.not_judged,
            "labels": labels,
        },
        internal={
            "suppressed_people": dict(cells.suppressed),
            "shares": {name: dict(zip(groups, table.round(4).tolist(), strict=True)) for name, table in shares.items()},
        },
    )
    if not cells.judged:
        reason = f"no group has {MIN_JUDGED} people"
        return report(status=Status.NO_POWER, reason="; ".join(part for part in (reason, cells.note) if part))
    judged = {name: table[:, : len(cells.judged)] for name, table in counts.items()}
    return _largest(report, judged, cells, labels, seed=data.seed)


def _largest(
    report: partial[Measurement], counts: dict[str, Table], cells: Cells, labels: list[str], *, seed: int
) -> Measurement:
    """The verdict on the groups that are judged. counts: by arm, [subjects, groups, labels]."""
    shares = {name: _normalise(table.sum(axis=0)) for name, table in counts.items()}
    gaps = np.abs(shares["train"] - shares["synthetic"])
    group, label = np.unravel_index(int(gaps.argmax()), gaps.shape)
    rng = np.random.default_rng(seed)
    draws = [
        float(_redraw(counts["train"], rng)[group, label] - _redraw(counts["synthetic"], rng)[group, label])
        for _ in range(N_DRAWS)
    ]
    low, high = percentile_interval(draws, confidence=1 - 0.05 / gaps.size)
    apart = low > 0 or high < 0
    bounds = sorted((abs(low), abs(high)))
    reason = f"the largest difference is that of {labels[label]} in {cells.judged[group]}"
    return report(
        status=Status.DETECTED if apart else Status.NOT_DETECTED,
        reason="; ".join(part for part in (reason, cells.note) if part),
        value=float(gaps.max()),
        ci_low=bounds[0] if apart else 0.0,
        ci_high=bounds[1],
        baseline=float(np.abs(shares["train"] - shares["holdout"]).max()),
    )


def _column(arm: ImageSet, name: str) -> Table:
    return np.asarray(getattr(arm, name))


def _counts(arm: ImageSet, grouping: str, cells: list[str], labels: list[str]) -> Table:
    """[subjects, cells, labels]: images of each subject in each cell."""
    group, label = _column(arm, grouping), _column(arm, "label")
    names, person = np.unique(arm.subjects(), return_inverse=True)
    counts = np.zeros((len(names), len(cells), len(labels)), dtype=np.int32)
    for c, cell in enumerate(cells):
        for k, word in enumerate(labels):
            counts[:, c, k] = np.bincount(person[(group == cell) & (label == word)], minlength=len(names))
    return counts


def _redraw(counts: Table, rng: np.random.Generator) -> Table:
    times = np.bincount(rng.integers(len(counts), size=len(counts)), minlength=len(counts))
    return _normalise(np.tensordot(times, counts, axes=1))


def _normalise(table: Table) -> Table:
    return np.asarray(table / np.maximum(table.sum(axis=1, keepdims=True), 1))
