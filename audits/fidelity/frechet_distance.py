"""Frechet distance between Gaussians fitted to features. In these features it is not the FID of the literature."""

from __future__ import annotations

from functools import partial

import numpy as np

from audits.base import AuditInput, Measurement
from audits.floor import in_features
from audits.pixels import Floats
from audits.registry import audit

_distance = partial(
    Measurement,
    name="frechet_distance.squared",
    unit="squared Frechet distance",
    method=(
        "squared distance of means plus that of covariances, in the features named below; it grows as n shrinks, so it "
        "is read beside train against holdout at equal n; interval by delete-fifth jackknife over subjects"
    ),
    source="after Heusel et al. 2017, arXiv:1706.08500; other features than Inception's, so not comparable with FID",
)


@audit("frechet_distance", question="Do synthetic features have the mean and spread of real ones?")
def frechet_distance(data: AuditInput) -> list[Measurement]:
    """Squared Frechet distance of synthetic against holdout, beside train against holdout."""
    return [in_features(data, _distance, squared_frechet, higher_is_better=False)]


def squared_frechet(real: Floats, other: Floats) -> float:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) of features [N, D] (Dowson and Landau 1982).

    The trace of the root is the sum of singular values of X Y^T, X and Y being the centred features over sqrt(n - 1).
    Their triangular factors have the same ones, whichever of N and D is larger.
    """
    x, y = (arm.astype(np.float64) for arm in (real, other))
    shift = x.mean(axis=0) - y.mean(axis=0)
    x, y = ((arm - arm.mean(axis=0)) / np.sqrt(len(arm) - 1) for arm in (x, y))
    root = float(np.linalg.svd(np.linalg.qr(x).R @ np.linalg.qr(y).R.T, compute_uv=False).sum())
    return float(shift @ shift + (x**2).sum() + (y**2).sum() - 2 * root)
