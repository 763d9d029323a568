"""Were some arms compressed and others not? JPEG leaves steps at the borders of its 8 x 8 blocks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from audits.base import Measurement, Status
from audits.pixels import Floats, GreyView, by_block
from audits.stats import Doubles, auc, auc_interval, rows_by_subject
from generators.data import ImageSet

BLOCK = 8
MIN_SIDE = 3 * BLOCK
# What light compression (quality 90) adds at 64 px or more; smaller differences also come from what is shown.
MIN_DIFFERENCE = 0.03
CONFIDENCE = 0.999

_history = partial(
    Measurement,
    name="arms.jpeg_history",
    unit="AUC over subjects",
    method=(
        "steps across the borders of 8 x 8 blocks, beyond those beside them; the arm that differs most from train; "
        f"found where means differ by {MIN_DIFFERENCE} and the {CONFIDENCE:.1%} interval excludes .5"
    ),
    source="after Wang, Bovik and Evans 2000, ICIP, vol. 3, p. 981; interval Newcombe 2006, method 5",
)


def jpeg_history(arms: Mapping[str, ImageSet]) -> Measurement:
    """Whether any arm was compressed otherwise than `train`. arms: by name, `train` and at least one other."""
    if min(arms["train"].images.shape[1:3]) < MIN_SIDE:
        return _history(status=Status.NOT_ASSESSABLE, reason=f"images of fewer than {MIN_SIDE} pixels a side show none")
    strength = {name: _by_subject(arm) for name, arm in arms.items()}
    train = strength.pop("train")
    different = [name for name, other in strength.items() if differ(train, other)]
    figures = {name: auc(other, train) for name, other in strength.items()}
    shown = max(different or figures, key=lambda name: abs(figures[name] - 0.5))
    low, high = auc_interval(figures[shown], len(strength[shown]), len(train))
    return _history(
        status=Status.DETECTED if different else Status.NOT_DETECTED,
        reason=f"not compressed as train: {', '.join(different)}" if different else "",
        value=figures[shown],
        ci_low=low,
        ci_high=high,
        n={"train": len(train), **{name: len(other) for name, other in strength.items()}},
        baseline=0.5,
        details={"auc": figures},
    )


def differ(left: Doubles, right: Doubles) -> bool:
    """Whether two arms were compressed differently, from the grid's strength in each subject."""
    if abs(float(left.mean() - right.mean())) < MIN_DIFFERENCE:
        return False
    low, high = auc_interval(auc(left, right), len(left), len(right), confidence=CONFIDENCE)
    return not low <= 0.5 <= high


def _by_subject(arm: ImageSet) -> Doubles:
    strength = by_block(GreyView(sets=(arm,), white=arm.max_value), grid_strength)
    return np.array([strength[rows].mean() for rows in rows_by_subject(arm.subjects())])


def grid_strength(grey: Floats) -> Doubles:
    """[N]: by how much steps across block borders exceed those beside them, in units of the image's mean step.

    About 0 for images that were never compressed, or were scaled since. The median over borders keeps an edge of the
    anatomy from passing for a grid, and so do the seven grids that lie elsewhere: their median is taken off.
    grey: [N, H, W], at least 24 pixels a side, else zeros. After Wang, Bovik and Evans 2000, ICIP, vol. 3, p. 981.
    """
    if min(grey.shape[1:]) < MIN_SIDE:
        return np.zeros(len(grey))
    ways = (np.abs(np.diff(grey, axis=2)).mean(axis=1), np.abs(np.diff(grey, axis=1)).mean(axis=2))
    return np.asarray((_excess(ways[0]) + _excess(ways[1])) / 2, dtype=np.float64)


def _excess(steps: Floats) -> Floats:
    """[N] of mean absolute steps [N, S - 1], the one at `i` being between pixels `i` and `i + 1`."""
    above = np.full(steps.shape, np.nan, dtype=np.float32)
    above[:, 1:-1] = steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2
    by_grid = np.stack([np.nanmedian(above[:, place::BLOCK], axis=1) for place in range(BLOCK)])
    elsewhere = np.median(by_grid[:-1], axis=0)
    return np.asarray((by_grid[-1] - elsewhere) / (steps.mean(axis=1) + 1e-6))
