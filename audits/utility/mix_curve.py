"""The mix curve: how much do synthetic images help beside real ones, and from which share on do they harm?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from audits.base import AuditInput, Measurement, Status
from audits.checks import too_few, white_level
from audits.judges import MAX_TAUGHT, METHOD, Lesson, assessable, common_labels, lesson
from audits.mixing.curve import HALF, HALF_AND_MADE, REAL, SPECIFICITY, WRONG, Curve, trace
from audits.mixing.reading import Point, read_curve, read_point
from audits.mixing.shares import SHARES, n_asked
from audits.registry import audit
from audits.sampling import at_most
from audits.stats import percentile_interval

# Fixed before any curve was seen. Reader studies take .05 of AUC for the loss that a better workflow may cost; here
# nothing is gained that makes up for a loss, so two fifths of it. One finding in twenty missed is the most for a rare
# class. Margins are to be chosen conservatively and beforehand: Ahn, Park and Lee 2013, Radiology 267:328.
AUC_MARGIN, SENSITIVITY_MARGIN = 0.02, 0.05
# With n people of whom none is lost, 3 / n may be lost still (rule of three; Hanley and Lippman-Hand 1983).
MIN_RAREST = 60
# The share that decides unless another harms; the largest below it where there are too few synthetic images.
REGISTERED = "100 %"

_report = partial(
    Measurement,
    method=(
        f"{METHOD}; taught by train, and by train with 25, 50, 100 and 200 % synthetic images, drawn in the synthetic "
        "set's own shares of labels; tested on holdout; paired bootstrap over holdout subjects; harm and help at 95 % "
        "over all shares (Bonferroni); baseline: what the other half of the real people adds to one half; positive "
        "control: the largest share with every label wrong"
    ),
    source="non-inferiority after Ahn, Park and Lee 2013, Radiology 267:328; control after ICH E10, section 1.5",
)
_auc = partial(_report, name="mix_curve.auc_difference", unit="macro AUC, mixture minus real alone")
_rarest = partial(
    _report,
    name="mix_curve.rarest_sensitivity_difference",
    unit=f"sensitivity for the rarest label at {SPECIFICITY:.0%} specificity, mixture minus real alone",
)


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """One figure of the curve. columns: of the curve's figures; too_few: why the margin cannot be shown to be kept."""

    report: partial[Measurement]
    columns: slice
    margin: float
    details: Mapping[str, object]
    too_few: str = ""


@audit("mix_curve", question="How much do synthetic images help beside real ones, and from where on do they harm?")
def mix_curve(data: AuditInput) -> list[Measurement]:
    """Differences of AUC, macro and by label, and of the rarest label's sensitivity, from real images alone."""
    if reason := assessable(data):
        return [report(status=Status.NOT_ASSESSABLE, reason=reason) for report in (_auc, _rarest)]
    labels = common_labels(data)
    real, made, test = _lessons(data, labels)
    asked = n_asked(len(real))
    reason = too_few(train=data.train, holdout=data.holdout)
    if not reason and len(made) < min(asked.values()):
        reason = f"the smallest share needs {min(asked.values())} synthetic images, there are {len(made)}"
    if reason:
        return [report(status=Status.NO_POWER, reason=reason) for report in (_auc, _rarest)]
    rarest = int(np.argmin([_people(real, number) for number in range(len(labels))]))
    curve = trace(real, made, test, n_labels=len(labels), rarest=rarest, seed=data.seed)
    short = [
        f"{share} needs {n} synthetic images, there are {len(made)}" for share, n in asked.items() if n > len(made)
    ]
    n = {"train": _everybody(real), "holdout": _everybody(test), "synthetic_images": len(made)}
    figures = (_macro(curve, labels), _sensitivity(labels[rarest], _people(test, rarest)))
    return [_measure(figure, curve, n=n, left_out=short) for figure in figures]


def _lessons(data: AuditInput, labels: Sequence[str]) -> Iterator[Lesson]:
    """Of train, synthetic and holdout; of very large arms as many images as the largest share may teach."""
    limits = ((data.train, int(MAX_TAUGHT / max(SHARES))), (data.synthetic, MAX_TAUGHT), (data.holdout, MAX_TAUGHT))
    for arm, limit in limits:
        yield lesson(at_most(arm, limit, seed=data.seed), labels, white=white_level(data))


def _everybody(arm: Lesson) -> int:
    return len(np.unique(arm.subjects))


def _people(arm: Lesson, label: int) -> int:
    return len(np.unique(arm.subjects[arm.classes == label]))


def _macro(curve: Curve, labels: Sequence[str]) -> _Figure:
    each = {label: _points(curve, slice(k, k + 1), AUC_MARGIN) for k, label in enumerate(labels)}
    by_label = {label: {p.share: p.as_details() for p in points} for label, points in each.items()}
    return _Figure(report=_auc, columns=slice(0, len(labels)), margin=AUC_MARGIN, details={"by_label": by_label})


def _sensitivity(rarest: str, n_people: int) -> _Figure:
    few = "" if n_people >= MIN_RAREST else f"holdout has {n_people} people of {rarest}, {MIN_RAREST} are needed"
    details = {"rarest_label": rarest, "specificity": SPECIFICITY}
    return _Figure(report=_rarest, columns=slice(-1, None), margin=SENSITIVITY_MARGIN, details=details, too_few=few)


def _measure(figure: _Figure, curve: Curve, *, n: Mapping[str, int], left_out: Sequence[str]) -> Measurement:
    columns = figure.columns
    points = _points(curve, columns, figure.margin, decidable=not figure.too_few)
    control, draws = curve.difference(WRONG, columns)
    shown = next((p for p in points if p.share == REGISTERED), points[-1])
    status, reason = read_curve(points, shown, margin=figure.margin)
    if status is Status.NOT_DETECTED and percentile_interval(draws.tolist())[1] >= 0:
        status, reason = Status.NO_POWER, f"wrong labels were not seen to harm ({control:+.3f})"
    return figure.report(
        status=status,
        reason="; ".join(part for part in (reason, figure.too_few, *left_out) if part),
        value=shown.difference,
        ci_low=shown.ci_low,
        ci_high=shown.ci_high,
        n=n,
        baseline=curve.gain(REAL, HALF, columns),
        positive_control=control,
        details={
            "value_at": shown.share,
            "margin": figure.margin,
            "real_alone": float(curve.arms[REAL][columns].mean()),
            "by_share": {p.share: p.as_details() for p in points},
            "added_to_half_of_the_real": _added_to_half(curve, columns),
            **figure.details,
        },
    )


def _points(curve: Curve, columns: slice, margin: float, *, decidable: bool = True) -> list[Point]:
    return [
        read_point(
            share,
            curve.difference(share, columns),
            margin=margin,
            n_points=len(curve.shares),
            decidable=decidable,
        )
        for share in curve.shares
    ]


def _added_to_half(curve: Curve, columns: slice) -> dict[str, float]:
    """What the other half of the real people adds to one half, and what as many synthetic images add to it."""
    found = {"other_half": curve.gain(REAL, HALF, columns)}
    if HALF_AND_MADE in curve.arms:
        found["as_many_synthetic_images"] = curve.gain(HALF_AND_MADE, HALF, columns)
    return found
