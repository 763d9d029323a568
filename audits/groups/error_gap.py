"""The gap in true positive rate, which is that in false negative rate, between groups of people with one label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import Measurement, Status
from audits.groups.cells import Cells, people_of
from audits.groups.gap import N_DRAWS, Gap, about, judged, limits
from audits.judges import Trial
from audits.stats import resampled_subjects
from generators.data import Strings

Mask = NDArray[np.bool_]
Cell = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """True positive rates by cell "label in group". hit: [N], whether the label of each image was found."""

    by_cell: Mapping[str, float]
    hit: Mask


def error_gap(report: partial[Measurement], trial: Trial, groups: Strings, *, seed: int) -> Measurement:
    """Fill `report` with the largest gap over labels. groups: [N], of each image that the trial judged.

    A cell is the people who bear one label in one group: they are the n of its rate.
    """
    labels = np.asarray(trial.labels)[trial.truth]
    bearers = np.where(groups != "", np.char.add(np.char.add(labels, " in "), groups), "")
    people = people_of(bearers, trial.subjects)
    cells = Cells.of(people)
    synthetic, real = (_rates(trial, scores, bearers, cells) for scores in (trial.synthetic, trial.real))
    details = {
        "tpr": dict(synthetic.by_cell),
        "fnr": {name: 1 - rate for name, rate in synthetic.by_cell.items()},
        "tpr_trained_on_real": dict(real.by_cell),
        **limits(cells, suppressed_as="not_shown"),
    }
    report = about(cells, people, report)
    pairs = [pair for label in trial.labels for pair in _pairs(cells, label)]
    if not pairs:
        return report(status=Status.NO_POWER, reason=cells.cannot_judge("groups with one label"), details=details)
    best, worst = max(pairs, key=lambda pair: synthetic.by_cell[pair[0]] - synthetic.by_cell[pair[1]])
    draws = [
        _rate(synthetic.hit, bearers, rows, best) - _rate(synthetic.hit, bearers, rows, worst)
        for rows in resampled_subjects(trial.subjects, n_draws=N_DRAWS, seed=seed)
    ]
    gap = Gap(
        best=best,
        worst=worst,
        value=synthetic.by_cell[best] - synthetic.by_cell[worst],
        baseline=real.by_cell[best] - real.by_cell[worst],
        draws=draws,
        n_orders=len(pairs),
    )
    return judged(report, cells, gap, verb="is recognised more often than", details=details)


def _rates(trial: Trial, scores: NDArray[np.float64], bearers: Strings, cells: Cells) -> Rates:
    """Rates of the shown cells by fairlearn's MetricFrame, which also is what a reader would check them with."""
    from fairlearn.metrics import MetricFrame, true_positive_rate  # noqa: PLC0415 - takes seconds to load

    predicted = scores.argmax(axis=1)
    by_cell: dict[str, float] = {}
    for label in range(len(trial.labels)):
        rows = (trial.truth == label) & np.isin(bearers, cells.shown)
        if rows.any():
            frame = MetricFrame(
                metrics=true_positive_rate,
                y_true=(trial.truth[rows] == label).astype(int),
                y_pred=(predicted[rows] == label).astype(int),
                sensitive_features=bearers[rows],
            )
            by_cell |= {str(name): float(rate) for name, rate in frame.by_group.items()}
    return Rates(by_cell=by_cell, hit=predicted == trial.truth)


def _pairs(cells: Cells, label: str) -> list[Cell]:
    """Ordered pairs of judged cells with this label."""
    mine = [name for name in cells.judged if name.startswith(f"{label} in ")]
    return [(first, second) for first in mine for second in mine if first != second]


def _rate(hit: Mask, bearers: Strings, rows: NDArray[np.intp], cell: str) -> float:
    mine = rows[bearers[rows] == cell]
    return float(hit[mine].mean()) if len(mine) else float("nan")
