"""The gap in AUC between the group that a judge serves best and the one it serves worst."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import Measurement, Status
from audits.groups.cells import Cells, people_of
from audits.groups.gap import N_DRAWS, Gap, about, judged, limits
from audits.judges import Trial, macro_auc
from audits.stats import Doubles, resampled_subjects
from generators.data import Strings

Mask = NDArray[np.bool_]


def auc_gap(report: partial[Measurement], trial: Trial, groups: Strings, *, seed: int) -> Measurement:
    """Fill `report` with the gap on the holdout. groups: [N], of each image that the trial judged."""
    cells = _cells(trial, groups)
    masks = {name: groups == name for name in cells.shown}
    figures = {name: macro_auc(trial.truth[mask], trial.synthetic[mask]) for name, mask in masks.items()}
    on_real = {name: macro_auc(trial.truth[mask], trial.real[mask]) for name, mask in masks.items()}
    report = about(cells, {name: len(np.unique(trial.subjects[mask])) for name, mask in masks.items()}, report)
    details = {"auc": figures, "auc_trained_on_real": on_real, **limits(cells, suppressed_as="suppressed")}
    if len(cells.judged) < 2:
        return report(status=Status.NO_POWER, reason=cells.cannot_judge(), details=details)
    best, worst = max(cells.judged, key=figures.__getitem__), min(cells.judged, key=figures.__getitem__)
    draws = [
        _difference(trial.truth, trial.synthetic, rows, masks[best], masks[worst])
        for rows in resampled_subjects(trial.subjects, n_draws=N_DRAWS, seed=seed)
    ]
    gap = Gap(
        best=best,
        worst=worst,
        value=figures[best] - figures[worst],
        baseline=on_real[best] - on_real[worst],
        draws=draws,
        n_orders=len(cells.judged) * (len(cells.judged) - 1),
    )
    return judged(report, cells, gap, verb="is served better than", details=details)


def _cells(trial: Trial, groups: Strings) -> Cells:
    """Cells by size; one that lacks a label counts as empty, as it has no AUC."""
    people = people_of(groups, trial.subjects)
    masks = {name: groups == name for name in people}
    lacking = {name for name, mask in masks.items() if np.isnan(macro_auc(trial.truth[mask], trial.synthetic[mask]))}
    return Cells.of({name: 0 if name in lacking else n for name, n in people.items()})


def _difference(truth: NDArray[np.intp], scores: Doubles, rows: NDArray[np.intp], best: Mask, worst: Mask) -> float:
    first, second = rows[best[rows]], rows[worst[rows]]
    if not len(first) or not len(second):
        return float("nan")
    return macro_auc(truth[first], scores[first]) - macro_auc(truth[second], scores[second])
