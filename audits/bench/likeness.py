"""How alike synthetic and real images are: label shares matched first, then features, spectrum and a detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from audits.base import AuditInput, Measurement
from audits.bench.judging import Classes, Predict, fit_logistic, pixels_of
from audits.bench.network import fit_network
from audits.pixels import Floats, to_grey
from audits.recognition import halves, with_shares_of
from audits.registry import run_audits
from audits.spectrum import spectrum_deviation
from audits.stats import auc, clopper_pearson
from generators.data import ImageSet

AUDITS = ("kernel_distance", "manifold")
MEMBERSHIP = "membership_inference"
MEASURED = {"kernel_distance": "kernel_distance.mmd", "density": "manifold.density", "coverage": "manifold.coverage"}
DETECTOR_STEPS = 200
# Each of the two rates behind a bound of epsilon gets half of the 5 %.
RATE_CONFIDENCE = 0.95
MAX_ATTACKED = 600


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """figures by the names of FIGURES, None where there is none, with the reason; details: the audits' own figures."""

    figures: Mapping[str, float | None]
    reasons: Mapping[str, str]
    details: Mapping[str, object]


def measure_likeness(arms: AuditInput, *, white: int, delta: float, attack: bool) -> Likeness:
    """All figures of `arms.synthetic` against the unseen arms. attack: whether membership is tried too."""
    # Histograms, so that rows that were measured before there was a trained network can stand beside new ones.
    matched = replace(
        arms, synthetic=with_shares_of(arms.holdout, arms.synthetic, seed=arms.seed), embedding="histograms"
    )
    by_name = {m.name: m for m in run_audits(matched, only=AUDITS).measurements}
    found = {figure: by_name[name] for figure, name in MEASURED.items()}
    unseen = matched.holdout
    detector = real_or_synthetic(unseen, matched.synthetic, white=white, seed=arms.seed)
    audited, reason, attack_details = audited_epsilon(arms, delta=delta) if attack else (None, "", {})
    figures = {
        **{name: m.value for name, m in found.items()},
        "spectrum_db": spectrum_deviation(to_grey(unseen, white=white), to_grey(matched.synthetic, white=white)),
        "real_vs_synthetic_auc": max(detector.values()),
        "audited_epsilon": audited,
    }
    reasons = {name: m.reason for name, m in found.items() if m.reason} | (
        {"audited_epsilon": reason} if reason else {}
    )
    intervals = {name: [m.ci_low, m.ci_high] for name, m in found.items()}
    return Likeness(
        figures=figures,
        reasons=reasons,
        details={"intervals": intervals, "real_vs_synthetic_auc": detector, "membership": attack_details},
    )


def real_or_synthetic(real: ImageSet, synthetic: ImageSet, *, white: int, seed: int) -> dict[str, float]:
    """AUC with which a logistic regression and a network tell the two apart, trained on one half of each by subject."""
    rng = np.random.default_rng(seed)
    (real_a, real_b), (made_a, made_b) = (
        [arm.select(rows) for rows in halves(arm.subjects(), rng)] for arm in (real, synthetic)
    )
    training = np.concatenate([pixels_of(part, white=white) for part in (real_a, made_a)])
    truth = np.repeat([0, 1], [len(real_a), len(made_a)]).astype(np.intp)
    fitted: dict[str, Predict] = {
        "logistic": fit_logistic(training, truth, 2, seed),
        "network": _fit_short(training, truth, seed),
    }
    return {
        name: auc(*(ask(pixels_of(part, white=white))[:, 1] for part in (made_b, real_b)))
        for name, ask in fitted.items()
    }


def _fit_short(training: Floats, truth: Classes, seed: int) -> Predict:
    return fit_network(training, truth, 2, seed, DETECTOR_STEPS)


def audited_epsilon(arms: AuditInput, *, delta: float) -> tuple[float | None, str, dict[str, object]]:
    """A 95 % lower bound of epsilon from the membership attack that does best, with what it rests on.

    An (epsilon, delta)-DP release keeps TPR <= e^epsilon FPR + delta for every attack (Kairouz, Oh, Viswanath 2015).
    The threshold is the image of an unseen arm at a rank fixed beforehand, so its FPR has an exact bound. The better of
    two attacks is taken without correction: read it as a floor with a little optimism, and 0 as "nothing was found".
    """
    shown = arms.synthetic.select(np.random.default_rng(arms.seed).permutation(len(arms.synthetic))[:MAX_ATTACKED])
    report = run_audits(replace(arms, synthetic=shown), only=(MEMBERSHIP,))
    measured = [m for m in report.measurements if m.name.startswith(MEMBERSHIP)]
    bounds = {m.name: _bound(m, delta=delta) for m in measured}
    known = [value for value in bounds.values() if value is not None]
    details: dict[str, object] = {m.name: {"auc": m.value, **m.details} for m in measured}
    if known:
        return max(known), "", details
    return None, str(measured[0].reason or measured[0].details.get("why_not_1pct", "")), details


def _bound(measured: Measurement, *, delta: float) -> float | None:
    rate, n = measured.details.get("tpr_at_1pct"), measured.n
    if not isinstance(rate, float):
        return None
    members, others = n["train"], n["holdout"]
    low, _ = clopper_pearson(round(rate * members), members, confidence=RATE_CONFIDENCE)
    _, high = clopper_pearson(others // 100, others, confidence=RATE_CONFIDENCE)
    return max(0.0, float(np.log(max(low - delta, 1e-12) / high)))
