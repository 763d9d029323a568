"""Precision, recall, density and coverage against held-out real images (package `prdc`)."""

from __future__ import annotations

import contextlib
import io

import joblib  # type: ignore[import-untyped]  # ships no types
from prdc import compute_prdc

from audits.base import AuditInput, Measurement, Status
from audits.checks import too_few
from audits.floor import FloorReport, against_floor
from audits.pixels import Floats
from audits.registry import audit

NEAREST_K = 5
METHOD = (
    f"k = {NEAREST_K} nearest neighbours, holdout as the reference, equal n; interval by delete-fifth jackknife over "
    "subjects; shortfall judged against train in place of synthetic"
)
SOURCES = {
    "precision": "Kynkaanniemi et al. 2019, arXiv:1904.06991",
    "recall": "Kynkaanniemi et al. 2019, arXiv:1904.06991",
    "density": "Naeem et al. 2020, arXiv:2002.09797",
    "coverage": "Naeem et al. 2020, arXiv:2002.09797",
}


@audit("manifold", question="Do synthetic images lie where real ones do, and everywhere they do?")
def manifold(data: AuditInput) -> list[Measurement]:
    """Precision and density (are they realistic?), recall and coverage (is every kind of image there?)."""
    reason = too_few(train=data.train, holdout=data.holdout, synthetic=data.synthetic)
    report = None if reason else against_floor(data, _figures)
    return [_measurement(name, report, reason) for name in SOURCES]


def _figures(real: Floats, other: Floats) -> dict[str, float]:
    # The package prints its sizes on every call, and asks for eight threads that cost more than they save here.
    with contextlib.redirect_stdout(io.StringIO()), joblib.parallel_config(backend="sequential"):
        figures = compute_prdc(real, other, nearest_k=NEAREST_K)
    return {name: float(value) for name, value in figures.items()}


def _measurement(name: str, report: FloorReport | None, reason: str) -> Measurement:
    full, unit, source = f"manifold.{name}", "share" if name != "density" else "ratio", SOURCES[name]
    if report is None:
        return Measurement(name=full, unit=unit, source=source, method=METHOD, status=Status.NO_POWER, reason=reason)
    main, pixels = report.results["default"][name], report.results["pixels"][name]
    low, high = main.interval
    return Measurement(
        name=full,
        unit=unit,
        source=source,
        method=f"{METHOD}; features: {report.extractors['default']}",
        status=main.status(higher_is_better=True),
        value=main.value,
        ci_low=max(0.0, low),
        ci_high=high if name == "density" else min(1.0, high),
        n=report.n,
        baseline=main.baseline,
        details={
            "extractor_in_pixels": report.extractors["pixels"],
            "in_pixels": {"value": pixels.value, "baseline": pixels.baseline},
        },
    )
