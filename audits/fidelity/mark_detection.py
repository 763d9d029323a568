"""Mark detection: in what share of the synthetic images is their mark found, as they are and after changes?

Traceability: whoever meets an image on its own shall be able to learn that it was made. No leak, and no verdict of law.
"""

from __future__ import annotations

import re
from functools import partial

from audits.base import AuditInput, Measurement, Status
from audits.marks import MarkCount, MarkCounts
from audits.registry import audit
from audits.stats import clopper_pearson

LEAST_FOUND = 0.9
MOST_FALSE = 0.1  # what the upper bound of false detections must stay below: 36 real images without one

_report = partial(
    Measurement,
    unit="share of images in which their own mark is found",
    method=(
        f"counts of the mark's detector; at least {LEAST_FOUND:.0%} are asked for, at the interval's lower bound, or "
        "of all images where each was tried; negative control: unmarked real images, with an upper bound of at most "
        f"{MOST_FALSE:.0%}; another image's mark is never allowed"
    ),
    source="traceability, Regulation (EU) 2024/1689, article 50(2); exact interval, Clopper and Pearson 1934",
)


@audit("mark_detection", question="Is the mark found in the synthetic images, and in no real one?")
def mark_detection(data: AuditInput) -> list[Measurement]:
    """The rate per transform, and of false detections in real images; needs counts of the mark's detector."""
    if data.marks is None:
        reason = "no counts of a mark's detector were given"
        return [_report(name="mark_detection.any", status=Status.NOT_ASSESSABLE, reason=reason)]
    marks = data.marks
    return [*(_found(count, marks, n_images=len(data.synthetic)) for count in marks.transforms), _false(marks)]


def _found(count: MarkCount, marks: MarkCounts, *, n_images: int) -> Measurement:
    share, (low, high) = count.found / count.n, clopper_pearson(count.found, count.n)
    false = marks.unmarked_found / marks.n_unmarked if marks.n_unmarked else None
    certain = (share, share) if count.n >= n_images else (low, high)  # where all were tried, nothing was drawn
    status, reason = _judge(count, marks, *certain)
    return _report(
        name=f"mark_detection.{re.sub(r'[^a-z0-9]+', '_', count.transform.lower()).strip('_')}",
        status=status,
        reason=f"{count.transform}: {reason}",
        value=share,
        ci_low=low,
        ci_high=high,
        n={"images_tried": count.n},
        baseline=false,
        negative_control=false,
        details={"transform": count.transform, "wrong_mark_rate": count.wrong / count.n},
    )


def _judge(count: MarkCount, marks: MarkCounts, low: float, high: float) -> tuple[Status, str]:
    tally = f"{count.found} of {count.n} found"
    if count.wrong:
        return Status.DETECTED, f"{tally}, {count.wrong} gave another image's mark"
    if high < LEAST_FOUND:
        return Status.DETECTED, f"{tally}, {LEAST_FOUND:.0%} are asked for"
    if _false_bound(marks) > MOST_FALSE:
        return Status.NO_POWER, f"{tally}, but not shown to be absent from unmarked real images"
    if low < LEAST_FOUND:
        return Status.NO_POWER, f"{tally}, too few to tell whether it is {LEAST_FOUND:.0%}"
    return Status.NOT_DETECTED, tally


def _false(marks: MarkCounts) -> Measurement:
    report = partial(_report, name="mark_detection.real_images", unit="share of unmarked real images with a mark")
    if not marks.n_unmarked:
        return report(status=Status.NO_POWER, reason="no unmarked real image was tried")
    low, high = clopper_pearson(marks.unmarked_found, marks.n_unmarked)
    status, reason = Status.NOT_DETECTED, ""
    if marks.unmarked_found:
        status, reason = Status.DETECTED, "real images pass for marked ones"
    elif high > MOST_FALSE:
        status, reason = Status.NO_POWER, f"too few real images to bound false detections at {MOST_FALSE:.0%}"
    return report(
        status=status,
        reason=reason,
        value=marks.unmarked_found / marks.n_unmarked,
        ci_low=low,
        ci_high=high,
        n={"real_images": marks.n_unmarked},
        baseline=0.0,
    )


def _false_bound(marks: MarkCounts) -> float:
    return clopper_pearson(marks.unmarked_found, marks.n_unmarked)[1] if marks.n_unmarked else 1.0
