"""Usefulness: train on synthetic, test on real, beside train on real, test on real."""

from __future__ import annotations

from functools import partial

from audits.base import AuditInput, Measurement, Status
from audits.checks import too_few
from audits.judges import METHOD, assessable, macro_auc, try_out
from audits.registry import audit
from audits.stats import percentile_interval, resampled_subjects

N_DRAWS = 400

_report = partial(
    Measurement,
    method=f"{METHOD}; tested on holdout; one label against the rest; interval by bootstrap over holdout subjects",
    source="after Esteban et al. 2017, arXiv:1706.02633",
)
_auc = partial(_report, name="train_on_synthetic.auc", unit="macro AUC on real holdout")
_loss = partial(_report, name="train_on_synthetic.auc_difference", unit="AUC, synthetic minus real training")


@audit("train_on_synthetic", question="Can a classifier learn from synthetic images what it learns from real ones?")
def train_on_synthetic(data: AuditInput) -> list[Measurement]:
    """The AUC of a judge trained on synthetic images and its paired difference from training on real ones."""
    reason = assessable(data)
    if reason:
        return [report(status=Status.NOT_ASSESSABLE, reason=reason) for report in (_auc, _loss)]
    reason = too_few(train=data.train, holdout=data.holdout)
    if reason:
        return [report(status=Status.NO_POWER, reason=reason) for report in (_auc, _loss)]
    trial = try_out(data)
    pairs = [
        (macro_auc(trial.truth[rows], trial.synthetic[rows]), macro_auc(trial.truth[rows], trial.real[rows]))
        for rows in resampled_subjects(trial.subjects, n_draws=N_DRAWS, seed=data.seed)
    ]
    value, baseline = macro_auc(trial.truth, trial.synthetic), macro_auc(trial.truth, trial.real)
    low, high = percentile_interval([synthetic for synthetic, _ in pairs])
    loss_low, loss_high = percentile_interval([synthetic - real for synthetic, real in pairs])
    status = Status.DETECTED if loss_high < 0 else Status.NOT_DETECTED
    n = {"train": data.train.n_subjects, "holdout": data.holdout.n_subjects, "synthetic_images": len(data.synthetic)}
    reason = "training on synthetic images is worse than on real ones" if loss_high < 0 else ""
    return [
        _auc(
            status=status,
            reason=reason,
            value=value,
            ci_low=low,
            ci_high=high,
            n=n,
            baseline=baseline,
            details={"labels": list(trial.labels)},
        ),
        _loss(
            status=status,
            reason=reason,
            value=value - baseline,
            ci_low=loss_low,
            ci_high=loss_high,
            n=n,
            baseline=0.0,
        ),
    ]
