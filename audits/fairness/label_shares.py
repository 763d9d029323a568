"""Shares: does each group carry the labels in the synthetic set that it carries in the cohort?"""

from __future__ import annotations

from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Measurement, Status
from audits.groups.cells import MIN_JUDGED, MIN_SHOWN, Cells, groupings_of, people_of
from audits.registry import audit
from generators.data import ImageSet

Table = NDArray[Any]

CONFIDENCE = 0.95


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
            f"{MIN_JUDGED} people and more, shown from {MIN_SHOWN}; normal interval, corrected for the number of "
            "shares, with the pooled share's error by subject"
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
    return _largest(report, judged, cells, labels)


def _largest(report: partial[Measurement], counts: dict[str, Table], cells: Cells, labels: list[str]) -> Measurement:
    """The verdict on the groups that are judged. counts: by arm, [subjects, groups, labels]."""
    shares = {name: _normalise(table.sum(axis=0)) for name, table in counts.items()}
    gaps = np.abs(shares["train"] - shares["synthetic"])
    group, label = np.unravel_index(int(gaps.argmax()), gaps.shape)
    gap = float(gaps[group, label])
    error = _pooled_error(counts["train"][:, group], counts["synthetic"][:, group], int(label))
    margin = error * NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / gaps.size / 2)
    reason = f"the largest difference is that of {labels[label]} in {cells.judged[group]}"
    return report(
        status=Status.DETECTED if gap > margin else Status.NOT_DETECTED,
        reason="; ".join(part for part in (reason, cells.note) if part),
        value=gap,
        ci_low=max(0.0, gap - margin),
        ci_high=min(1.0, gap + margin),
        baseline=float(np.abs(shares["train"] - shares["holdout"]).max()),
    )


def _pooled_error(train: Table, synthetic: Table, label: int) -> float:
    """Standard error of the difference of a label's shares, were both arms of one mix.

    train, synthetic: [subjects, labels], images of one group. Each arm's share is a ratio of sums over subjects, whose
    error is that of its linear part (Cochran 1977, section 6.3), taken about the share of both arms together: an arm
    without the label is then no arm without error.
    """
    together = _normalise(train.sum(axis=0, keepdims=True) + synthetic.sum(axis=0, keepdims=True))[0, label]
    variance = 0.0
    for arm in (train, synthetic):
        images = arm.sum(axis=1)
        apart = arm[:, label] - together * images
        variance += float(np.square(apart).sum()) / max(1, int(images.sum())) ** 2
    return float(np.sqrt(variance))


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


def _normalise(table: Table) -> Table:
    return np.asarray(table / np.maximum(table.sum(axis=1, keepdims=True), 1))
