"""The gap in AUC between the group that a judge serves best and the one it serves worst."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import Measurement, Status
from audits.groups.cells import MIN_JUDGED, MIN_SHOWN, Cells, people_of
from audits.judges import Trial, macro_auc
from audits.stats import Doubles, percentile_interval, resampled_subjects
from generators.data import Strings

N_DRAWS = 400

Mask = NDArray[np.bool_]


def auc_gap(report: partial[Measurement], trial: Trial, groups: Strings, *, seed: int) -> Measurement:
    """Fill `report` with the gap on the holdout. groups: [N], of each image that the trial judged."""
    cells = _cells(trial, groups)
    masks = {name: groups == name for name in cells.shown}
    figures = {name: macro_auc(trial.truth[mask], trial.synthetic[mask]) for name, mask in masks.items()}
    on_real = {name: macro_auc(trial.truth[mask], trial.real[mask]) for name, mask in masks.items()}
    report = partial(
        report,
        n={name: len(np.unique(trial.subjects[mask])) for name, mask in masks.items()},
        internal={"suppressed_people": dict(cells.suppressed)},
    )
    details: dict[str, object] = {
        "auc": figures,
        "auc_trained_on_real": on_real,
        "suppressed": list(cells.suppressed),
        "not_judged": cells.not_judged,
        "min_people": MIN_SHOWN,
        "min_judged": MIN_JUDGED,
    }
    if len(cells.judged) < 2:
        return report(status=Status.NO_POWER, reason=cells.cannot_judge(), details=details)
    best, worst = max(cells.judged, key=figures.__getitem__), min(cells.judged, key=figures.__getitem__)
    draws = [
        _difference(trial.truth, trial.synthetic, rows, masks[best], masks[worst])
        for rows in resampled_subjects(trial.subjects, n_draws=N_DRAWS, seed=seed)
    ]
    n_orders = len(cells.judged) * (len(cells.judged) - 1)
    low, high = percentile_interval(draws, confidence=1 - 0.05 / n_orders)
    found = f"{best} is served better than {worst}" if low > 0 else ""
    return report(
        status=Status.DETECTED if low > 0 else Status.NOT_DETECTED,
        reason="; ".join(part for part in (found, cells.note) if part),
        value=figures[best] - figures[worst],
        ci_low=low,
        ci_high=high,
        baseline=on_real[best] - on_real[worst],
        details=details | {"best": best, "worst": worst},
    )


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
