"""Attribute inference: do synthetic images tell more about a member than about other people?

An attacker knows somebody's image and wants to know a word about them. Without the synthetic set they impute it from
the nearest image of people they know (the control arm). With it they take the word of the nearest synthetic image
where that is nearer. What population knowledge gives helps with everybody alike; only a leak helps more with members.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import MIN_SUBJECTS, same_source, too_few, unseen_arms, white_level
from audits.metadata.risk import Mask, verdict
from audits.neighbours import nearest_query
from audits.pixels import Floats, GreyView
from audits.planted import stored_noisy
from audits.registry import audit
from audits.stats import excess_rate, rows_by_subject
from generators.data import ImageSet, Strings

ATTRIBUTES = ("label", "sex", "age_group")
REFUSAL_LEVEL = 0.001  # one fit cohort in a thousand is refused by chance

_report = partial(
    Measurement,
    law=Law.INFERENCE,
    unit="share of people whose attribute the synthetic set alone gives away, members beyond unseen people",
    method=(
        "attribute of the nearest image under flips and small shifts, synthetic where that is nearer than the nearest "
        "control image; counted where it is right and the nearest control image is wrong; one image a person, the one "
        "that lies nearest to a synthetic image; exact limits of both rates; p-value by Fisher's exact test over people"
    ),
    source="after Giomi et al. 2023, arXiv:2211.10459; imputation baseline after Jayaraman and Evans 2022",
)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Images whose word the attacker reads off. best, row: of each real image, how near its nearest pool image is
    (correlation) and which row of the pool that is; [N], [N]."""

    best: Floats
    row: NDArray[np.intp]
    arms: tuple[ImageSet, ...]

    @classmethod
    def of(cls, arm: ImageSet, real: GreyView) -> Pool:
        """Of an arm against real images. Memory is bounded by the block."""
        best, row = nearest_query(GreyView(sets=(arm,), white=real.white), real)
        return cls(best=best, row=row, arms=(arm,))

    def joined(self, other: Pool) -> Pool:
        """Both pools as one."""
        nearer = other.best > self.best
        moved = other.row + sum(map(len, self.arms))
        return Pool(
            best=np.where(nearer, other.best, self.best),
            row=np.where(nearer, moved, self.row),
            arms=(*self.arms, *other.arms),
        )

    def words(self, attribute: str) -> Strings:
        """[N]: the word of each real image's nearest pool image."""
        return np.concatenate([np.asarray(getattr(arm, attribute)) for arm in self.arms])[self.row]


@dataclass(frozen=True, kw_only=True)
class Attacks:
    """The pools that an attacker may read, and whose images are asked about.

    members, others: the rows of each person among the real images. real: the arms in the order of those rows.
    """

    real: tuple[ImageSet, ...]
    members: list[NDArray[np.intp]]
    others: list[NDArray[np.intp]]
    released: Pool
    known: tuple[Pool, Pool]
    copies: Pool


@dataclass(frozen=True, kw_only=True)
class Gain:
    """People whose attribute only the attacked pool gave away: n_gained of n members, and of n_others."""

    n_gained: int
    n: int
    n_gained_others: int
    n_others: int

    @property
    def excess(self) -> tuple[float, float, float]:
        """Members beyond others, with its exact interval."""
        return excess_rate(self.n_gained, self.n, self.n_gained_others, self.n_others)

    @property
    def p_value(self) -> float:
        """Fisher's exact test, one-sided: no more members than others gave theirs away."""
        total, gained = self.n + self.n_others, self.n_gained + self.n_gained_others
        return float(hypergeom.sf(self.n_gained - 1, total, gained, self.n))


@audit("attribute_inference", question="Does the synthetic set tell something about a member whose image is known?")
def attribute_inference(data: AuditInput) -> list[Measurement]:
    """For label, sex and age group: how much more the set gives away about members than about other people."""
    others, control = unseen_arms(data)
    reason = too_few(train=data.train, holdout=others, control=control)
    mismatch = same_source(data)
    missing = {name: mismatch or _missing(data, name) for name in ATTRIBUTES}
    attacks = None if reason or all(missing.values()) else _prepare(data, others, control)
    found = []
    for name in ATTRIBUTES:
        report = partial(_report, name=f"attribute_inference.{name}")
        if missing[name]:
            found.append(report(status=Status.NOT_ASSESSABLE, reason=missing[name]))
        elif attacks is None:
            found.append(report(status=Status.NO_POWER, reason=reason))
        else:
            found.append(_measure(report, attacks, name))
    return found


def _missing(data: AuditInput, attribute: str) -> str:
    for name in ("synthetic", "train", "holdout", "control"):
        arm = getattr(data, name)
        if arm is not None and getattr(arm, attribute) is None:
            return f"{name} has no column {attribute}"
    return ""


def _prepare(data: AuditInput, others: ImageSet, control: ImageSet) -> Attacks:
    white, (first, second) = white_level(data), _halves(control)
    real = GreyView(sets=(data.train, others), white=white)
    members = rows_by_subject(data.train.subjects())
    planted = data.train.select(np.concatenate(members[::2]))
    copies = stored_noisy(planted, np.random.default_rng(data.seed), white=white)
    return Attacks(
        real=(data.train, others),
        members=members,
        others=[rows + len(data.train) for rows in rows_by_subject(others.subjects())],
        released=Pool.of(data.synthetic, real),
        known=(Pool.of(first, real), Pool.of(second, real)),
        copies=replace(Pool.of(copies, real), arms=(planted,)),
    )


def _halves(arm: ImageSet) -> tuple[ImageSet, ImageSet]:
    rows = rows_by_subject(arm.subjects())
    return arm.select(np.concatenate(rows[::2])), arm.select(np.concatenate(rows[1::2]))


def _measure(report: partial[Measurement], attacks: Attacks, attribute: str) -> Measurement:
    first, second = attacks.known
    known = first.joined(second)
    gain = _gain(attacks, attribute, attacks.released, known)
    if min(gain.n, gain.n_others) < MIN_SUBJECTS:
        reason = f"fewer than {MIN_SUBJECTS} people of train or holdout have a known {attribute}"
        return report(status=Status.NO_POWER, reason=reason)
    planted = _gain(attacks, attribute, attacks.released.joined(attacks.copies), known)
    innocent = _gain(attacks, attribute, first, second)
    status, reason = _judge(gain, planted, innocent, attribute)
    value, low, high = gain.excess
    return report(
        status=status,
        reason=reason,
        p_value=gain.p_value,
        value=value,
        ci_low=low,
        ci_high=high,
        n={"train": gain.n, "holdout": gain.n_others, "control": sum(arm.n_subjects for arm in known.arms)},
        baseline=gain.n_gained_others / gain.n_others,
        positive_control=planted.excess[0],
        negative_control=innocent.excess[0],
        details={"imputed_right": _imputed_right(attacks, attribute, known)},
    )


def _judge(gain: Gain, planted: Gain, innocent: Gain, attribute: str) -> tuple[Status, str]:
    if innocent.p_value <= REFUSAL_LEVEL:
        return Status.NOT_ASSESSABLE, "without any leak the attack gains on train: the arms differ in source"
    return verdict(
        gain.p_value,
        planted.p_value,
        found=f"the {attribute} of members is given away more often than that of other people",
        blind=f"copies of half the members with their {attribute} would not have been told from chance",
    )


def _gain(attacks: Attacks, attribute: str, attacked: Pool, known: Pool) -> Gain:
    """Who is given away by `attacked` and not by `known`."""
    truth = _truth(attacks, attribute)
    nearer = attacked.best > known.best
    right = nearer & (attacked.words(attribute) == truth) & (known.words(attribute) != truth)
    asked = attacked.best - known.best
    members, others = (_by_person(rows, right, asked, truth != "") for rows in (attacks.members, attacks.others))
    return Gain(n_gained=sum(members), n=len(members), n_gained_others=sum(others), n_others=len(others))


def _truth(attacks: Attacks, attribute: str) -> Strings:
    return np.concatenate([np.asarray(getattr(arm, attribute)) for arm in attacks.real])


def _by_person(rows: list[NDArray[np.intp]], right: Mask, asked: Floats, known: Mask) -> list[bool]:
    """Of each person whose word is known: whether their most telling image gives it away."""
    usable = (row[known[row]] for row in rows)
    return [bool(right[row[asked[row].argmax()]]) for row in usable if len(row)]


def _imputed_right(attacks: Attacks, attribute: str, known: Pool) -> float:
    """How often the imputation alone is right, over images of everybody with a known word."""
    truth = _truth(attacks, attribute)
    return float((known.words(attribute) == truth)[truth != ""].mean())
