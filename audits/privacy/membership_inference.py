"""Membership: are people of the training arm nearer to the synthetic images than people who were left out?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import same_source, too_few, unseen_arms, white_level
from audits.copy_detector import margin
from audits.embeddings import raw_pixels
from audits.neighbours import registered_correlation, squared_distances
from audits.pixels import Floats, to_grey
from audits.planted import noisy
from audits.registry import audit
from audits.stats import Doubles, auc, auc_interval, auc_p_value, clopper_pearson, rows_by_subject
from generators.data import ImageSet

MIN_FOR_RATE = 100
CONTROL_CONFIDENCE = 0.999  # one fit cohort in a thousand is refused by chance; a mismatched source is far out
# Of the median squared distance to the nearest control image: narrow, so that one close image outweighs a crowd.
KERNEL_WIDTH = 0.2

Scorer = Callable[[Floats, Floats, Floats], Doubles]


@dataclass(frozen=True, kw_only=True)
class _Attack:
    """A score per real image (higher: more likely a member), given real, synthetic and calibrating images."""

    name: str
    method: str
    source: str
    score: Scorer


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """Grey images [N, H, W] of one arm and the rows of each of its subjects."""

    grey: Floats
    rows: list[NDArray[np.intp]]

    @classmethod
    def of(cls, images: ImageSet, *, white: int) -> _Arm:
        return cls(grey=to_grey(images, white=white), rows=rows_by_subject(images.subjects()))

    def every_other(self, start: int) -> Floats:
        """The images of every second subject."""
        return self.grey[np.concatenate(self.rows[start::2])]


@dataclass(frozen=True, kw_only=True)
class _Arms:
    member: _Arm
    other: _Arm
    control: _Arm
    synthetic: Floats


@audit("membership_inference", question="Can one tell who was in the training data?")
def membership_inference(data: AuditInput) -> list[Measurement]:
    """AUC, by subject, of two attacks that see the synthetic images only; `nearest` is the registered one."""
    others, control = unseen_arms(data)
    white = white_level(data)
    attacks = (_nearest_attack(), _density_attack())
    reason = too_few(train=data.train, holdout=others, control=control)
    if reason:
        return [_report(attack)(status=Status.NO_POWER, reason=reason) for attack in attacks]
    if mismatch := same_source(data):
        return [_report(attack)(status=Status.NOT_ASSESSABLE, reason=mismatch) for attack in attacks]
    arms = _Arms(
        member=_Arm.of(data.train, white=white),
        other=_Arm.of(others, white=white),
        control=_Arm.of(control, white=white),
        synthetic=to_grey(data.synthetic, white=white),
    )
    return [_measure(attack, arms, seed=data.seed) for attack in attacks]


def _nearest_attack() -> _Attack:
    def score(real: Floats, synthetic: Floats, control: Floats) -> Doubles:
        near = registered_correlation(synthetic, real).max(axis=0)
        return margin(near, registered_correlation(control, real).max(axis=0))

    return _Attack(
        name="nearest",
        method="log ratio of squared distances, nearest control to nearest synthetic image; best image a subject",
        source="after Chen et al. 2020, GAN-Leaks, arXiv:1909.03935; difficulty calibration Watson et al. 2022",
        score=score,
    )


def _density_attack() -> _Attack:
    embedding = raw_pixels()

    def score(real: Floats, synthetic: Floats, control: Floats) -> Doubles:
        at, near, far = (embedding.extract(images) for images in (real, synthetic, control))
        to_synthetic, to_control = squared_distances(at, near), squared_distances(at, far)
        width = KERNEL_WIDTH * float(np.median(to_control.min(axis=1))) + 1e-12
        return np.asarray(
            logsumexp(-to_synthetic / width, axis=1) - logsumexp(-to_control / width, axis=1), dtype=np.float64
        )

    return _Attack(
        name="density_ratio",
        method=f"log ratio of kernel densities, synthetic to control, in: {embedding.name}; best image a subject",
        source="after van Breugel et al. 2023, DOMIAS, arXiv:2302.12580",
        score=score,
    )


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
    members, others = _scores(attack, arms, arms.synthetic, arms.control.grey)
    sizes = len(members), len(others)
    value = auc(members, others)
    low, high = auc_interval(value, *sizes)
    planted = auc(*_scores(attack, arms, _half_planted(arms, seed=seed), arms.control.grey))
    innocent = auc(*_scores(attack, arms, _leak_free(arms, seed=seed), arms.control.every_other(1)))
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
        details=_rate_at_one_percent(members, others),
        internal={"member_scores": np.round(members, 4).tolist(), "other_scores": np.round(others, 4).tolist()},
    )


def _scores(attack: _Attack, arms: _Arms, synthetic: Floats, control: Floats) -> tuple[Doubles, Doubles]:
    """Best score of each subject, members and others."""
    real = np.concatenate([arms.member.grey, arms.other.grey])
    score = attack.score(real, synthetic, control)
    split = len(arms.member.grey)
    members, others = (
        np.array([part[rows].max() for rows in arm.rows])
        for part, arm in ((score[:split], arms.member), (score[split:], arms.other))
    )
    return members, others


def _half_planted(arms: _Arms, *, seed: int) -> Floats:
    """Positive control: noisy copies of every second member, and as many images of the generator under test."""
    copies = noisy(arms.member.every_other(0), np.random.default_rng(seed))
    return np.concatenate([copies, arms.synthetic[: len(copies)]])


def _leak_free(arms: _Arms, *, seed: int) -> Floats:
    """Negative control: noisy images of people who are in neither arm."""
    return noisy(arms.control.every_other(0), np.random.default_rng(seed))


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


def _rate_at_one_percent(members: Doubles, others: Doubles) -> dict[str, object]:
    """True positive rate at 1 % false alarms with its exact interval, where enough others set the threshold."""
    if len(others) < MIN_FOR_RATE:
        return {"tpr_at_1pct": None, "why": f"needs {MIN_FOR_RATE} people in holdout, there are {len(others)}"}
    cut = np.sort(others)[::-1][len(others) // 100]
    found = int((members > cut).sum())
    low, high = clopper_pearson(found, len(members))
    return {"tpr_at_1pct": found / len(members), "tpr_ci_low": low, "tpr_ci_high": high}
