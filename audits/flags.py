"""What audits of copies say of single images: flags, and copies bit for bit where nothing else could be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import Measurement, Status
from audits.stats import Doubles, clopper_pearson
from generators.data import ImageSet

IDENTITY = "pixel identity"

Mask = NDArray[np.bool_]


LEVEL = 0.01
MIN_RECALL = 0.8


@dataclass(frozen=True, kw_only=True)
class Copies:
    """What an audit of copies found: n_flagged of n images, n_identical of them bit for bit; p_value of "nothing
    leaked"; recalls of planted copies by transform. images: what they are called; blind: why no test could reach its
    level, empty where one could.
    """

    n_flagged: int
    n: int
    n_identical: int
    p_value: float
    recalls: Mapping[str, float]
    images: str = "synthetic images"
    blind: str = ""

    @property
    def recall(self) -> float:
        return float(np.mean(list(self.recalls.values())))

    def details(self, alarm_rate: float) -> dict[str, object]:
        """What a report says beside the verdict."""
        return {
            "flagged_rate": self.n_flagged / self.n,
            "recall": dict(self.recalls),
            "p_value": self.p_value,
            "alarm_rate": alarm_rate,
            "n_identical": self.n_identical,
        }

    def verdict(self) -> tuple[Status, str]:
        """Copies bit for bit need no test; beyond them the set is accused at level 1 %."""
        flagged = f"{self.n_flagged} of {self.n} {self.images} flagged"
        if self.n_identical:
            return Status.DETECTED, f"{self.n_identical} {self.images} equal a training image bit for bit"
        if self.blind:
            return Status.NO_POWER, f"{flagged}, but {self.blind}"
        if self.p_value <= LEVEL:
            return Status.DETECTED, f"{flagged}, more than chance gives (p = {self.p_value:.2g})"
        if self.recall < MIN_RECALL:
            return Status.NO_POWER, f"only {self.recall:.0%} of planted copies were found, {MIN_RECALL:.0%} are needed"
        weak = ", ".join(f"{name} {found:.0%}" for name, found in self.recalls.items() if found < MIN_RECALL)
        return Status.NOT_DETECTED, f"{flagged}, as chance gives (p = {self.p_value:.2f})" + (
            f"; weak on {weak}" if weak else ""
        )


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


def only_identity(
    report: partial[Measurement], identical: Mask, status: Status, reason: str, *, train: ImageSet, asked: ImageSet
) -> Measurement:
    """`report` where people are too few or of two sources to test: copies bit for bit are copies all the same.

    identical: which of the `asked` images equal an image of `train` [Q].
    """
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
        internal={
            "flags": flag_rows(identical, identical, np.zeros(n), [IDENTITY] * n),
            "nearest_train_index": _twins(identical, train, asked),
        },
    )


def _twins(identical: Mask, train: ImageSet, asked: ImageSet) -> dict[int, int]:
    """Row in `train` of the very image that each identical one is: a person who looks must see that one."""
    wanted = {asked.images[i].tobytes() for i in np.flatnonzero(identical)}
    rows = {pixels: row for row, image in enumerate(train.images) if (pixels := image.tobytes()) in wanted}
    return {i: rows[asked.images[i].tobytes()] for i in np.flatnonzero(identical).tolist()}
