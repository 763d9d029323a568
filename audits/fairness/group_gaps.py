"""Gaps: is a classifier that learned from synthetic images worse for some group of people than for another?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Measurement, Status
from audits.judges import METHOD, Trial, assessable, common_labels, macro_auc, try_out
from audits.registry import audit
from audits.stats import Doubles, percentile_interval, resampled_subjects
from generators.data import Strings

GROUPINGS = ("sex", "age_group", "site")
MIN_PEOPLE = 30
N_DRAWS = 400

Mask = NDArray[np.bool_]


@audit("group_gaps", question="Does what is learned from synthetic images serve every group alike?")
def group_gaps(data: AuditInput) -> list[Measurement]:
    """The largest difference of AUC between two groups, by sex, age group and, where known, site."""
    reason = assessable(data)
    trial = None if reason else try_out(data)
    found = []
    for grouping in GROUPINGS:
        column = getattr(data.holdout, grouping)
        if column is None and grouping == "site":
            continue
        report = partial(
            Measurement,
            name=f"group_gaps.{grouping}",
            unit="AUC, best group minus worst",
            method=f"{METHOD}; trained on synthetic; bootstrap over holdout subjects, Bonferroni over ordered pairs",
            source="equal performance by group, after Hardt et al. 2016, arXiv:1610.02413",
        )
        if trial is None or column is None:
            why = reason or f"holdout has no column {grouping}"
            found.append(report(status=Status.NOT_ASSESSABLE, reason=why))
            continue
        judged = column[np.isin(_labels(data), common_labels(data))]
        found.append(_gap(report, trial, judged, seed=data.seed))
    return found


def _labels(data: AuditInput) -> Strings:
    assert data.holdout.label is not None  # noqa: S101 - `assessable` came first
    return data.holdout.label


def _gap(report: partial[Measurement], trial: Trial, groups: Strings, *, seed: int) -> Measurement:
    kept, suppressed = _split(trial, groups)
    details: dict[str, object] = {"suppressed": list(suppressed), "min_people": MIN_PEOPLE}
    internal = {"suppressed_people": suppressed}
    if len(kept) < 2:
        reason = f"fewer than two groups have {MIN_PEOPLE} people and every label"
        return report(status=Status.NO_POWER, reason=reason, details=details, internal=internal)
    n_orders = len(kept) * (len(kept) - 1)
    masks = {name: groups == name for name in kept}
    figures = {name: macro_auc(trial.truth[mask], trial.synthetic[mask]) for name, mask in masks.items()}
    best, worst = max(kept, key=figures.__getitem__), min(kept, key=figures.__getitem__)
    draws = [
        _difference(trial.truth, trial.synthetic, rows, masks[best], masks[worst])
        for rows in resampled_subjects(trial.subjects, n_draws=N_DRAWS, seed=seed)
    ]
    low, high = percentile_interval(draws, confidence=1 - 0.05 / n_orders)
    on_real = {name: macro_auc(trial.truth[mask], trial.real[mask]) for name, mask in masks.items()}
    details |= {"auc": figures, "auc_trained_on_real": on_real, "best": best, "worst": worst}
    return report(
        status=Status.DETECTED if low > 0 else Status.NOT_DETECTED,
        reason=f"{best} is served better than {worst}" if low > 0 else "",
        value=figures[best] - figures[worst],
        ci_low=low,
        ci_high=high,
        n={name: _people(trial, mask) for name, mask in masks.items()},
        baseline=on_real[best] - on_real[worst],
        details=details,
        internal=internal,
    )


def _split(trial: Trial, groups: Strings) -> tuple[Sequence[str], dict[str, int]]:
    """Groups that can be judged, and the others with how many people they have."""
    kept, suppressed = [], {}
    for name in sorted(set(groups.tolist()) - {""}):
        mask = groups == name
        people = _people(trial, mask)
        if people >= MIN_PEOPLE and np.isfinite(macro_auc(trial.truth[mask], trial.synthetic[mask])):
            kept.append(name)
        else:
            suppressed[name] = people
    return kept, suppressed


def _people(trial: Trial, mask: Mask) -> int:
    return len(np.unique(trial.subjects[mask]))


def _difference(truth: NDArray[np.intp], scores: Doubles, rows: NDArray[np.intp], best: Mask, worst: Mask) -> float:
    first, second = rows[best[rows]], rows[worst[rows]]
    if not len(first) or not len(second):
        return float("nan")
    return macro_auc(truth[first], scores[first]) - macro_auc(truth[second], scores[second])
