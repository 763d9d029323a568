"""Singling out by the released words: does a rare synthetic row point at exactly one person of the training arm?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import too_few, unseen_arms
from audits.metadata.guesses import Columns, Excess, guesses_on, n_alone
from audits.metadata.risk import N_DEALS, first_are_members, verdict
from audits.metadata.tables import Release, release_of
from audits.registry import audit
from audits.stats import dealt_p_value

_report = partial(
    Measurement,
    law=Law.SINGLING_OUT,
    unit="share of guesses that fit exactly one person of train, beyond unseen people",
    source="after Giomi et al. 2023, arXiv:2211.10459; predicates of Cohen and Nissim 2020, arXiv:1904.06009",
)
METHOD = (
    "a guess is {what} that at most one synthetic row in n_train bears; a person alone in train whom nobody guesses "
    "counts as a failed guess; exact limits of both rates; p-value by dealing people to train and unseen anew"
)
WHAT = {"univariate": "a word of one column", "multivariate": "a combination of all released columns"}


@audit("singling_out", question="Do rare rows of the released metadata point at one person?")
def singling_out(data: AuditInput) -> list[Measurement]:
    """Right guesses beyond chance, from single words and from all released columns together."""
    return [_measure(data, name) for name in WHAT]


def _measure(data: AuditInput, name: str) -> Measurement:
    report = partial(_report, name=f"singling_out.{name}", method=METHOD.format(what=WHAT[name]))
    release = release_of(data)
    if release is None:
        return report(status=Status.NOT_ASSESSABLE, reason="no metadata column is released that every arm has")
    others, control = unseen_arms(data)
    reason = too_few(train=data.train, holdout=others, control=control)
    if not reason and name == "multivariate" and len(release.columns) < 2:
        reason = f"only one column is released ({release.columns[0]})"
    if reason:
        return report(status=Status.NO_POWER, reason=reason)
    n_columns = len(release.columns)
    combinations = [tuple(range(n_columns))] if name == "multivariate" else [(i,) for i in range(n_columns)]
    alone = n_alone(release.train, combinations)
    report = partial(report, n=release.sizes, details={"columns": ", ".join(release.columns)})
    if not alone:
        # A census, not an attack: whoever guesses, by whatever means, finds at least two people.
        why = "nobody in train is alone with these words, so no guess about them can single out anybody"
        return report(status=Status.NOT_DETECTED, reason=why, value=0.0, ci_low=0.0, ci_high=0.0)
    return _attack(report, release, combinations, alone, seed=data.seed)


def _attack(
    report: partial[Measurement], release: Release, combinations: Sequence[Columns], alone: int, *, seed: int
) -> Measurement:
    train, pool = release.train, release.train.beside(release.unseen)
    against = partial(guesses_on, combinations=combinations, n_people=train.n_people)
    members = first_are_members(train.n_people, pool.n_people)
    deal = partial(dealt_p_value, members=members, n_draws=N_DEALS, seed=seed)
    ours, planted = against(pool, release.synthetic), against(pool, train.words)
    p_value = deal(ours.n_right)
    status, reason = verdict(
        p_value,
        deal(planted.n_right),
        found="rare rows point at single people of train more often than at other people",
        blind="had the training rows themselves been released, these columns would not have told it from chance",
    )
    excess = Excess.of(ours, train.n_people, pool.n_people, alone)
    low, high = excess.interval
    return report(
        status=status,
        reason=reason,
        p_value=p_value,
        value=excess.value,
        ci_low=low,
        ci_high=high,
        baseline=excess.baseline,
        positive_control=Excess.of(planted, train.n_people, pool.n_people, alone).value,
        negative_control=_leak_free(release, combinations, alone),
        internal={"n_guesses": ours.n_guesses, "n_alone_in_train": alone},
    )


def _leak_free(release: Release, combinations: Sequence[Columns], alone: int) -> float:
    """The same figure where rows of the control arm stand in for the synthetic ones."""
    pool = release.train.beside(release.others)
    guesses = guesses_on(pool, release.control.words, combinations, n_people=release.train.n_people)
    return Excess.of(guesses, release.train.n_people, pool.n_people, alone).value
