"""Copies: does a synthetic image lie nearer to a training image than chance allows?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import identical_to, same_source, too_few, unseen_arms, white_level
from audits.copy_detector import Gallery, margin, margin_p_value, mirror_margins, p_values, threshold
from audits.flags import flag_rows, only_identity
from audits.neighbours import registered_correlation
from audits.pixels import Floats, to_grey
from audits.planted import TRANSFORMS, UPRIGHT
from audits.registry import audit
from audits.stats import clopper_pearson, excess_rate

ALARM_RATE = 0.01
LEVEL = 0.01
N_DRAWS = 499
N_PLANTED = 50
MIN_RECALL = 0.8
DETECTOR = "registered correlation margin"

Mask = NDArray[np.bool_]

_copies = partial(
    Measurement,
    name="nearest_copies.copy_rate",
    law=Law.SINGLING_OUT,
    unit="share of synthetic images flagged, beyond real unseen images",
    method=(
        "margin between the nearest training and the nearest unseen image under flips and small shifts; per-image "
        f"alarm rate {ALARM_RATE:.0%} set on unseen people; accused at level {LEVEL:.0%} by dealing subjects anew; "
        "lower bound of the excess over unseen people, upper bound of all flags divided by the recall"
    ),
    source="after Carlini et al. 2023, arXiv:2301.13188; conformal threshold; permutation test by subject",
)


@dataclass(frozen=True, kw_only=True)
class _Arms:
    """Grey images and people: `unseen` is held against train, `calibration` sets the alarm."""

    gallery: Gallery
    swapped: Gallery
    synthetic: Floats


@audit("nearest_copies", question="Are synthetic images copies of training images?")
def nearest_copies(data: AuditInput) -> list[Measurement]:
    """The share of synthetic images flagged as copies beyond chance, with recall on planted copies."""
    unseen, calibration = unseen_arms(data)
    identical = identical_to(data.train, data.synthetic)
    reason = too_few(train=data.train, unseen=unseen, calibration=calibration)
    if not reason and len(calibration) + 1 < 1 / ALARM_RATE:
        reason = f"{len(calibration)} images set the alarm, {round(1 / ALARM_RATE) - 1} are needed"
    if reason:
        return [only_identity(_copies, identical, Status.NO_POWER, reason)]
    if mismatch := same_source(data):
        return [only_identity(_copies, identical, Status.NOT_ASSESSABLE, mismatch)]
    white = white_level(data)
    galleries = [
        Gallery(
            train=to_grey(data.train, white=white),
            unseen=to_grey(arm, white=white),
            train_subjects=data.train.subjects(),
            unseen_subjects=arm.subjects(),
        )
        for arm in (unseen, calibration)
    ]
    arms = _Arms(gallery=galleries[0], swapped=galleries[1], synthetic=to_grey(data.synthetic, white=white))
    return [_measure(data, arms, identical)]


def _measure(data: AuditInput, arms: _Arms, identical: Mask) -> Measurement:
    gallery, n = arms.gallery, len(arms.synthetic)
    real = gallery.margin(arms.swapped.unseen)
    train, unseen = gallery.correlation(arms.synthetic)
    margins = margin(train.max(axis=1), unseen.max(axis=1))
    mirrored = mirror_margins(train, unseen, gallery.train_subjects, gallery.n_blocks, seed=data.seed)
    cut = threshold(real, mirrored, alarm_rate=ALARM_RATE)
    flagged = (margins > cut) | identical
    n_flagged, rate = int(flagged.sum()), float(flagged.mean())
    p_value = _leak(arms, train, unseen, cut, seed=data.seed)
    recalls = _recalls(gallery, cut, seed=data.seed)
    recall = float(np.mean(list(recalls.values())))
    innocent = arms.swapped.margin(gallery.unseen) > cut
    status, reason = _verdict(int(identical.sum()), p_value, recall, f"{n_flagged} of {n} images flagged")
    value, low, _ = excess_rate(n_flagged, n, int(innocent.sum()), len(innocent))
    high = clopper_pearson(n_flagged, n)[1] / max(recall, MIN_RECALL)  # any flag may be a copy, some copies are missed
    image_p = p_values(margins, real, mirrored)
    return _copies(
        status=status,
        reason=reason,
        p_value=0.0 if identical.any() else p_value,
        value=max(0.0, value),
        ci_low=max(0.0, low),
        ci_high=min(1.0, high),
        n={"synthetic_images": n, **_people(gallery, arms.swapped)},
        baseline=float(innocent.mean()),
        positive_control=recall,
        negative_control=float(innocent.mean()),
        details={
            "flagged_rate": rate,
            "recall": recalls,
            "p_value": p_value,
            "alarm_rate": ALARM_RATE,
            "n_identical": int(identical.sum()),
        },
        internal={
            "flags": flag_rows(flagged, identical, image_p, [DETECTOR] * n),
            "nearest_train_index": {int(i): int(train[i].argmax()) for i in np.flatnonzero(flagged)},
            "threshold": cut,
            "margins": np.round(margins, 4).tolist(),
            "real_margins": np.round(real, 4).tolist(),
        },
    )


def _leak(arms: _Arms, train: Floats, unseen: Floats, cut: float, *, seed: int) -> float:
    """The test of the whole set: training people against all others, those who set the alarm among them."""
    calibration = registered_correlation(arms.synthetic, arms.swapped.unseen)
    people = (arms.gallery.train_subjects, arms.gallery.unseen_subjects, arms.swapped.unseen_subjects)
    return margin_p_value(
        np.concatenate([train, unseen, calibration], axis=1),
        np.concatenate([np.char.add(arm, who) for arm, who in zip("tuc", people, strict=True)]),
        np.arange(sum(map(len, people))) < len(people[0]),
        cut,
        n_draws=N_DRAWS,
        seed=seed,
    )


def _verdict(n_identical: int, p_value: float, recall: float, flagged: str) -> tuple[Status, str]:
    if n_identical:
        return Status.DETECTED, f"{n_identical} synthetic images equal a training image bit for bit"
    if p_value <= LEVEL:
        return Status.DETECTED, f"{flagged}, more than chance gives (p = {p_value:.3f})"
    if recall < MIN_RECALL:
        return Status.NO_POWER, f"only {recall:.0%} of planted copies were found, {MIN_RECALL:.0%} are needed"
    return Status.NOT_DETECTED, f"{flagged}, as chance gives (p = {p_value:.2f})"


def _recalls(gallery: Gallery, cut: float, *, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    sources = gallery.train[rng.permutation(len(gallery.train))[:N_PLANTED]]
    return {name: float((gallery.margin(TRANSFORMS[name](sources, rng)) > cut).mean()) for name in UPRIGHT}


def _people(gallery: Gallery, swapped: Gallery) -> dict[str, int]:
    arms = (gallery.train_subjects, gallery.unseen_subjects, swapped.unseen_subjects)
    return {name: len(np.unique(who)) for name, who in zip(("train", "unseen", "calibration"), arms, strict=True)}
