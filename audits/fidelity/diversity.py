"""Diversity: do two synthetic images differ as much as two real ones? Mean MS-SSIM of pairs."""

from __future__ import annotations

from functools import partial

import numpy as np

from audits.base import AuditInput, Measurement, Status
from audits.checks import too_few, white_level
from audits.floor import FloorResult, equal_arms
from audits.msssim import WINDOW, ms_ssim, n_scales
from audits.pixels import Floats, to_grey
from audits.registry import audit
from audits.stats import rows_by_subject
from generators.data import ImageSet

N_PARTNERS = 4
MAX_IMAGES = 1000

_similarity = partial(
    Measurement,
    name="diversity.ms_ssim",
    unit="mean MS-SSIM of pairs",
    method=(
        f"each image against {2 * N_PARTNERS} others of its arm, pairs of one person left out, equal n; interval by "
        "the spread of subjects' means; baseline the training images; higher is less diverse"
    ),
    source="Odena, Olah and Shlens 2017, arXiv:1610.09585; MS-SSIM Wang, Simoncelli and Bovik 2003",
)


@audit("diversity", question="Do synthetic images differ among themselves as real ones do?")
def diversity(data: AuditInput) -> list[Measurement]:
    """Mean MS-SSIM of synthetic pairs, beside that of pairs of training images."""
    reason = too_few(train=data.train, holdout=data.holdout, synthetic=data.synthetic)
    if reason:
        return [_similarity(status=Status.NO_POWER, reason=reason)]
    if not n_scales(*data.train.images.shape[1:3]):
        return [_similarity(status=Status.NOT_ASSESSABLE, reason=f"images are smaller than {WINDOW} pixels")]
    arms = equal_arms(data)
    white = white_level(data)
    (value, error), (floor, floor_error) = (
        _mean_similarity(arms[name], white=white, seed=data.seed) for name in ("synthetic", "train")
    )
    found = FloorResult(value=value, error=error, baseline=floor, baseline_error=floor_error)
    return [found.filled(_similarity, n={name: len(arm) for name, arm in arms.items()}, higher_is_better=False)()]


def _mean_similarity(arm: ImageSet, *, white: int, seed: int) -> tuple[float, float]:
    """Mean over pairs and its standard error, that of a U-statistic: twice the spread of subjects' own means."""
    order = np.random.default_rng(seed).permutation(len(arm))[:MAX_IMAGES]
    grey, people = to_grey(arm.select(order), white=white), arm.subjects()[order]
    steps = range(1, N_PARTNERS + 1)
    similar = np.stack([_around(grey, step) for step in steps])
    stranger = np.stack([people != np.roll(people, -step) for step in steps])
    kept = np.where(stranger, similar, np.nan)
    own = np.concatenate([kept, *(np.roll(row, step)[None] for step, row in zip(steps, kept, strict=True))])
    known = [own[:, rows][np.isfinite(own[:, rows])] for rows in rows_by_subject(people)]
    by_subject = np.array([part.mean() for part in known if len(part)])
    return float(np.nanmean(kept)), float(2 * by_subject.std(ddof=1) / np.sqrt(len(by_subject)))


def _around(grey: Floats, step: int) -> Floats:
    """[N]: the similarity of each image to the one `step` places further in a ring."""
    return np.asarray(ms_ssim(grey, np.roll(grey, -step, axis=0)), dtype=np.float32)
