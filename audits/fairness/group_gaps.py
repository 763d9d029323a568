"""Gaps: is a classifier that learned from synthetic images worse for some group of people than for another?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from audits.base import AuditInput, Measurement, Status
from audits.groups.auc_gap import auc_gap
from audits.groups.cells import MIN_JUDGED, column_of, groupings_of, missing_column
from audits.groups.error_gap import error_gap
from audits.judges import MAX_TAUGHT, METHOD, Trial, assessable, common_labels, try_out
from audits.registry import audit
from audits.sampling import at_most
from generators.data import Strings

TESTED = f"{METHOD}; trained on synthetic; groups of {MIN_JUDGED} people and more"
_auc = partial(
    Measurement,
    unit="AUC, best group minus worst",
    method=f"{TESTED}; bootstrap over holdout subjects, Bonferroni over ordered pairs",
    source="equal performance by group, after Hardt et al. 2016, arXiv:1610.02413",
)
_errors = partial(
    Measurement,
    unit="true positive rate, best group minus worst; the same as the gap in false negative rate",
    method=f"{TESTED} with one label; fairlearn's MetricFrame; bootstrap over holdout subjects, Bonferroni over pairs",
    source="equal opportunity, Hardt et al. 2016, arXiv:1610.02413; fairlearn, Weerts et al. 2023, JMLR 24:257",
)


@audit("group_gaps", question="Does what is learned from synthetic images serve every group alike?")
def group_gaps(data: AuditInput) -> list[Measurement]:
    """The largest differences of AUC and of TPR between two groups, by sex, age group, site, and sex with age group."""
    data = replace(data, holdout=at_most(data.holdout, MAX_TAUGHT, seed=data.seed))
    reason = assessable(data)
    trial = None if reason else try_out(data)
    return [
        measurement for grouping in groupings_of(data) for measurement in _measure(data, trial, grouping, reason=reason)
    ]


def _measure(data: AuditInput, trial: Trial | None, grouping: str, *, reason: str) -> list[Measurement]:
    reports = partial(_auc, name=f"group_gaps.{grouping}"), partial(_errors, name=f"group_gaps.tpr.{grouping}")
    reason = reason or missing_column(grouping, holdout=data.holdout)
    groups = column_of(data.holdout, grouping)
    if trial is None or groups is None:
        return [report(status=Status.NOT_ASSESSABLE, reason=reason) for report in reports]
    judged = groups[np.isin(_labels(data), common_labels(data))]
    return [
        gap(report, trial, judged, seed=data.seed) for gap, report in zip((auc_gap, error_gap), reports, strict=True)
    ]


def _labels(data: AuditInput) -> Strings:
    assert data.holdout.label is not None  # noqa: S101 - `assessable` came first
    return data.holdout.label
