"""Linkability by the released words: does the synthetic set join what two sources know of the same person?"""

from __future__ import annotations

from functools import partial

import numpy as np

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import too_few, unseen_arms
from audits.metadata.risk import N_DEALS, Mask, first_are_members, mean_advantage, verdict
from audits.metadata.tables import People, Release, release_of
from audits.registry import audit
from audits.stats import Doubles, dealt_p_value
from generators.data import Strings

CLINICAL = ("label", "site")

_report = partial(
    Measurement,
    name="linkability.metadata",
    law=Law.LINKABILITY,
    unit="share of people whose two halves of the metadata are joined, beyond unseen people",
    method=(
        "an attacker holds label and site of a person from one source, sex and age group from another, and joins them "
        "where the nearest synthetic row is the same; expected over the order of equally near rows; normal interval "
        "over people; p-value by dealing people to train and unseen anew"
    ),
    source="after Giomi et al. 2023, arXiv:2211.10459",
)


@audit("linkability", question="Does the released metadata join two records of one person?")
def linkability(data: AuditInput) -> list[Measurement]:
    """The share of members whose clinical and demographic words find the same synthetic row, beyond other people."""
    release = release_of(data)
    if release is None:
        return [_report(status=Status.NOT_ASSESSABLE, reason="no metadata column is released that every arm has")]
    others, control = unseen_arms(data)
    reason = too_few(train=data.train, holdout=others, control=control)
    halves = split_columns(release.columns)
    if not reason and not all(halves):
        reason = f"the released columns ({', '.join(release.columns)}) do not make two halves"
    if reason:
        return [_report(status=Status.NO_POWER, reason=reason)]
    return [_attack(release, halves, seed=data.seed)]


def split_columns(columns: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Indices of the clinical and of the demographic columns."""
    clinical = [i for i, name in enumerate(columns) if name in CLINICAL]
    return clinical, [i for i in range(len(columns)) if i not in clinical]


def link_rates(people: People, synthetic: Strings, halves: tuple[list[int], list[int]]) -> Doubles:
    """[n_people]: how often both halves of a person's words find the same nearest row of `synthetic` [N, C].

    Many rows are equally near. In a random order of rows the first of one half's nearest is the first of the other's
    with probability |both| / |either|, so the attack's success is known without drawing an order.
    """
    rows, which = np.unique(people.words, axis=0, return_inverse=True)
    cells, weights = np.unique(synthetic, axis=0, return_counts=True)
    rates = np.empty(len(rows))
    for i, row in enumerate(rows):
        near = [_nearest(cells[:, half], row[half]) for half in halves]
        rates[i] = weights[near[0] & near[1]].sum() / weights[near[0] | near[1]].sum()
    totals = np.bincount(people.person, weights=rates[which.ravel()], minlength=people.n_people)
    return np.asarray(totals / np.bincount(people.person, minlength=people.n_people), dtype=np.float64)


def _nearest(cells: Strings, row: Strings) -> Mask:
    differing = (cells != row).sum(axis=1)
    return np.asarray(differing == differing.min())


def _attack(release: Release, halves: tuple[list[int], list[int]], *, seed: int) -> Measurement:
    n_train, pool = release.train.n_people, release.train.beside(release.unseen)
    ours, planted, innocent = (
        link_rates(pool, words, halves) for words in (release.synthetic, release.train.words, release.control.words)
    )
    p_value, planted_p = (_p_value(rates, n_train, seed=seed) for rates in (ours, planted))
    status, reason = verdict(
        p_value,
        planted_p,
        found="the halves of a member's metadata are joined more often than those of other people",
        blind="had the training rows themselves been released, these columns would not have told it from chance",
    )
    value, low, high = mean_advantage(ours[:n_train], ours[n_train:])
    n_others = release.others.n_people
    return _report(
        status=status,
        reason=reason,
        p_value=p_value,
        value=value,
        ci_low=low,
        ci_high=high,
        n=release.sizes,
        baseline=float(ours[n_train:].mean()),
        positive_control=float(planted[:n_train].mean() - planted[n_train:].mean()),
        negative_control=float(innocent[:n_train].mean() - innocent[n_train : n_train + n_others].mean()),
        details={
            "columns": ", ".join(release.columns),
            "rate_of_members": float(ours[:n_train].mean()),
            "rate_of_guessing": 1 / len(release.synthetic),
        },
    )


def _p_value(rates: Doubles, n_members: int, *, seed: int) -> float:
    def statistic(who: Mask) -> float:
        return float(rates[who].sum())

    return dealt_p_value(statistic, first_are_members(n_members, len(rates)), n_draws=N_DEALS, seed=seed)
