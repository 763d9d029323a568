"""Kernel distance: one number for how far two sets of images are apart (unbiased, so that 0 means alike)."""

from __future__ import annotations

from functools import partial

import numpy as np

from audits.base import AuditInput, Measurement
from audits.floor import in_features
from audits.pixels import Floats
from audits.registry import audit
from audits.stats import Doubles

_distance = partial(
    Measurement,
    name="kernel_distance.mmd",
    unit="squared MMD",
    method=(
        "unbiased squared MMD, kernel (x.y / d + 1)^3 on features scaled by the holdout's spread, equal n; interval by "
        "delete-fifth jackknife over subjects; baseline train against holdout"
    ),
    source="after Binkowski et al. 2018, arXiv:1801.01401; other features than theirs, so not comparable with KID",
)


@audit("kernel_distance", question="How far are synthetic images from real ones as a whole?")
def kernel_distance(data: AuditInput) -> list[Measurement]:
    """Squared MMD of synthetic against holdout, beside train against holdout."""
    return [in_features(data, _distance, squared_mmd, higher_is_better=False)]


def squared_mmd(real: Floats, other: Floats) -> float:
    """Unbiased squared MMD of features [N, D] (Gretton et al. 2012, equation 3) with the cubic kernel."""
    mean, scale = real.mean(axis=0), real.std(axis=0) + 1e-6
    x, y = ((arm.astype(np.float64) - mean) / scale for arm in (real, other))
    return _off_diagonal_mean(x) + _off_diagonal_mean(y) - 2 * float(_kernel(x, y).mean())


def _kernel(x: Doubles, y: Doubles) -> Doubles:
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def _off_diagonal_mean(x: Doubles) -> float:
    kernel = _kernel(x, x)
    return float((kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1)))
