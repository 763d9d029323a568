"""Membership: are people of the training arm nearer to the synthetic images than people who were left out?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import CONTROL_CONFIDENCE, same_source, too_few, unseen_arms, white_level
from audits.copy_detector import margin
from audits.embeddings import raw_pixels
from audits.neighbours import nearest, nearest_query, squared_distances
from audits.pixels import Floats, Greys, GreyView
from audits.planted import stored_noisy
from audits.rates import rates
from audits.registry import audit
from audits.stats import Doubles, auc, auc_interval, auc_p_value, rows_by_subject
from generators.data import ImageSet

# Of the median squared distance to the nearest control image: narrow, so that one close image outweighs a crowd.
KERNEL_WIDTH = 0.2
N_AT_ONCE = 2048

Scorer = Callable[[Greys, Greys, Greys], Doubles]


@dataclass(frozen=True, kw_only=True)
class _Attack:
    """A score per real image (higher: more likely a member), given real, synthetic and calibrating images."""

    name: str
    method: str
    source: str
    score: Scorer


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """Images of one arm and the rows of each of its subjects."""

    images: ImageSet
    rows: list[NDArray[np.intp]]

    @classmethod
    def of(cls, images: ImageSet) -> _Arm:
        return cls(images=images, rows=rows_by_subject(images.subjects()))

    def every_other(self, start: int) -> ImageSet:
        """The images of every second subject."""
        return self.images.select(np.concatenate(self.rows[start::2]))


@dataclass(frozen=True, kw_only=True)
class _Arms:
    member: _Arm
    other: _Arm
    control: _Arm
    synthetic: ImageSet
    white: int

    def grey(self, *sets: ImageSet) -> GreyView:
        return GreyView(sets=sets, white=self.white)


@audit("membership_inference", question="Can one tell who was in the training data?")
def membership_inference(data: AuditInput) -> list[Measurement]:
    """AUC, by subject, of two attacks that see the synthetic images only; `nearest` is the registered one."""
    others, control = unseen_arms(data)
    attacks = (_nearest_attack(), _density_attack())
    reason = too_few(train=data.train, holdout=others, control=control)
    if reason:
        return [_report(attack)(status=Status.NO_POWER, reason=reason) for attack in attacks]
    if mismatch := same_source(data):
        return [_report(attack)(status=Status.NOT_ASSESSABLE, reason=mismatch) for attack in attacks]
    arms = _Arms(
        member=_Arm.of(data.train),
        other=_Arm.of(others),
        control=_Arm.of(control),
        synthetic=data.synthetic,
        white=white_level(data),
    )
    return [_measure(attack, arms, seed=data.seed) for attack in attacks]


def _nearest_attack() -> _Attack:
    def score(real: Greys, synthetic: Greys, control: Greys) -> Doubles:
        near, far = (nearest_query(images, real)[0] for images in (synthetic, control))
        return margin(near, far)

    return _Attack(
        name="nearest",
        method="log ratio of squared distances, nearest control to nearest synthetic image; best image a subject",
        source="after Chen et al. 2020, GAN-Leaks, arXiv:1909.03935; difficulty calibration Watson et al. 2022",
        score=score,
    )


def _density_attack() -> _Attack:
    embedding = raw_pixels()

    def score(real: Greys, synthetic: Greys, control: Greys) -> Doubles:
        at, near, far = (embedding.of(images) for images in (real, synthetic, control))
        width = KERNEL_WIDTH * float(np.median(nearest(at, far)[1]) ** 2) + 1e-12
        return _log_density(at, near, width) - _log_density(at, far, width)

    return _Attack(
        name="density_ratio",
        method=f"log ratio of kernel densities, synthetic to control, in: {embedding.name}; best image a subject",
        source="after van Breugel et al. 2023, DOMIAS, arXiv:2302.12580",
        score=score,
    )


def _log_density(at: Floats, pool: Floats, width: float) -> Doubles:
    """[N]: log of the sum of kernels of the pool at each row, a block of either at a time."""
    found = np.full(len(at), -np.inf)
    for a in range(0, len(at), N_AT_ONCE):
        for p in range(0, len(pool), N_AT_ONCE):
            square = squared_distances(at[a : a + N_AT_ONCE], pool[p : p + N_AT_ONCE])
            part = found[a : a + N_AT_ONCE]
            np.logaddexp(part, logsumexp(-square / width, axis=1), out=part)
    return found


def _report(attack: _Attack) -> partial[Measurement]:
    return partial(
        Measurement,
        name=f"membership_inference.{attack.name}",
        law=Law.INFERENCE,
        unit="AUC over subjects",
        method=attack.method,
        source=f"{attack.source}; interval Newcombe 2006, method 5",
    )


def _measure(attack: _Attack, arms: _Arms, *, seed: int) -> Measurement:
    control = arms.grey(arms.control.images)
    members, others = _scores(attack, arms, arms.grey(arms.synthetic), control)
    sizes = len(members), len(others)
    value = auc(members, others)
    low, high = auc_interval(value, *sizes)
    planted = auc(*_scores(attack, arms, _half_planted(arms, seed=seed), control))
    other_half = arms.grey(arms.control.every_other(1))
    innocent = auc(*_scores(attack, arms, _leak_free(arms, seed=seed), other_half))
    status, reason = _verdict(low, planted, innocent, sizes)
    return _report(attack)(
        status=status,
        reason=reason,
        value=value,
        p_value=auc_p_value(value, *sizes),
        ci_low=low,
        ci_high=high,
        n={"train": sizes[0], "holdout": sizes[1], "control": len(arms.control.rows)},
        baseline=0.5,
        positive_control=planted,
        negative_control=innocent,
        details=rates(members, others),
        internal={"member_scores": np.round(members, 4).tolist(), "other_scores": np.round(others, 4).tolist()},
    )


def _scores(attack: _Attack, arms: _Arms, synthetic: Greys, control: Greys) -> tuple[Doubles, Doubles]:
    """Best score of each subject, members and others."""
    score = attack.score(arms.grey(arms.member.images, arms.other.images), synthetic, control)
    split = len(arms.member.images)
    members, others = (
        np.array([part[rows].max() for rows in arm.rows])
        for part, arm in ((score[:split], arms.member), (score[split:], arms.other))
    )
    return members, others


def _half_planted(arms: _Arms, *, seed: int) -> GreyView:
    """Positive control: noisy copies of every second member, and as many images of the generator under test."""
    copies = stored_noisy(arms.member.every_other(0), np.random.default_rng(seed), white=arms.white)
    return arms.grey(copies, arms.synthetic.select(np.arange(min(len(copies), len(arms.synthetic)))))


def _leak_free(arms: _Arms, *, seed: int) -> GreyView:
    """Negative control: noisy images of people who are in neither arm."""
    return arms.grey(stored_noisy(arms.control.every_other(0), np.random.default_rng(seed), white=arms.white))


def _verdict(low: float, planted: float, innocent: float, sizes: tuple[int, int]) -> tuple[Status, str]:
    null_low, null_high = auc_interval(innocent, *sizes, confidence=CONTROL_CONFIDENCE)
    if not null_low <= 0.5 <= null_high:
        return Status.NOT_ASSESSABLE, (
            f"without any leak the attack tells train from holdout (AUC {innocent:.2f}): the arms differ in source"
        )
    if low > 0.5:
        return Status.DETECTED, f"members are told from others; the lower bound is {low:.2f}"
    if auc_interval(planted, *sizes)[0] <= 0.5:
        return Status.NO_POWER, f"copies of half the members were not detected (AUC {planted:.2f})"
    return Status.NOT_DETECTED, ""
