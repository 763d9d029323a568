"""What audits of copies say of single images: flags, and copies bit for bit where nothing else could be measured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import Measurement, Status
from audits.stats import Doubles, clopper_pearson

IDENTITY = "pixel identity"

Mask = NDArray[np.bool_]


def flag_rows(flagged: Mask, identical: Mask, p_values: Doubles, detectors: Sequence[str]) -> list[dict[str, object]]:
    """Index, p-value and detector of each flagged image; a copy bit for bit needs no test. Internal.

    All arguments have one entry an image [Q].
    """
    return [
        {
            "index": i,
            "p_value": 0.0 if identical[i] else float(p_values[i]),
            "detector": IDENTITY if identical[i] else detectors[i],
        }
        for i in np.flatnonzero(flagged).tolist()
    ]


def only_identity(report: partial[Measurement], identical: Mask, status: Status, reason: str) -> Measurement:
    """`report` where people are too few or of two sources to test: copies bit for bit are copies all the same."""
    found, n = int(identical.sum()), len(identical)
    if not found:
        return report(status=status, reason=reason, n={"synthetic_images": n})
    low, high = clopper_pearson(found, n)
    return report(
        status=Status.DETECTED,
        reason=f"{found} synthetic images equal a training image bit for bit",
        value=found / n,
        ci_low=low,
        ci_high=min(1.0, high),
        n={"synthetic_images": n},
        baseline=0.0,
        internal={"flags": flag_rows(identical, identical, np.zeros(n), [IDENTITY] * n)},
    )
