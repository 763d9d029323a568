"""Kernel distance: one number for how far two sets of images are apart (unbiased, so that 0 means alike)."""

from __future__ import annotations

from functools import partial

import numpy as np

from audits.base import AuditInput, Measurement, Status
from audits.checks import too_few
from audits.floor import against_floor
from audits.pixels import Floats
from audits.registry import audit
from audits.stats import Doubles

_distance = partial(
    Measurement,
    name="kernel_distance.mmd",
    unit="squared MMD",
    method=(
        "unbiased squared MMD, kernel (x.y / d + 1)^3 on features scaled by the holdout's spread, equal n; interval by "
        "delete-half jackknife over subjects; baseline train against holdout"
    ),
    source="after Binkowski et al. 2018, arXiv:1801.01401; other features than theirs, so not comparable with KID",
)


@audit("kernel_distance", question="How far are synthetic images from real ones as a whole?")
def kernel_distance(data: AuditInput) -> list[Measurement]:
    """Squared MMD of synthetic against holdout, beside train against holdout."""
    reason = too_few(train=data.train, holdout=data.holdout, synthetic=data.synthetic)
    if reason:
        return [_distance(status=Status.NO_POWER, reason=reason)]
    report = against_floor(data, _figures)
    main, pixels = report.results["default"]["mmd"], report.results["pixels"]["mmd"]
    low, high = main.interval
    return [
        _distance(
            status=main.status(higher_is_better=False),
            value=main.value,
            ci_low=low,
            ci_high=high,
            n=report.n,
            baseline=main.baseline,
            details={
                "features": dict(report.extractors),
                "in_pixels": {"value": pixels.value, "baseline": pixels.baseline},
            },
        )
    ]


def _figures(real: Floats, other: Floats) -> dict[str, float]:
    """Unbiased squared MMD (Gretton et al. 2012, equation 3) with the cubic kernel."""
    mean, scale = real.mean(axis=0), real.std(axis=0) + 1e-6
    x, y = ((arm.astype(np.float64) - mean) / scale for arm in (real, other))
    return {"mmd": _off_diagonal_mean(x) + _off_diagonal_mean(y) - 2 * float(_kernel(x, y).mean())}


def _kernel(x: Doubles, y: Doubles) -> Doubles:
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def _off_diagonal_mean(x: Doubles) -> float:
    kernel = _kernel(x, x)
    return float((kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1)))
