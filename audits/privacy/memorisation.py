"""Memorisation: is a synthetic image a copy of a training image, however it was turned, cropped, bent or toned?"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import identical_to, same_source, too_few, unseen_arms, white_level
from audits.copies.comparison import Compared, compare
from audits.copies.detector import learn_detector, lesson_of
from audits.copies.known import Known
from audits.flags import LEVEL, MIN_RECALL, Copies, only_identity
from audits.pixels import GreyView
from audits.registry import audit
from audits.stats import excess_rate

ALARM_RATE = 0.01
N_DEALS = 999
N_PLANTED = 40

Mask = NDArray[np.bool_]

_copies = partial(
    Measurement,
    name="memorisation.copy_rate",
    law=Law.SINGLING_OUT,
    unit="share of synthetic images flagged, beyond real unseen people",
    method=(
        "six detectors, each calibrated on auditor-only strangers, their log p-values joined; per-image alarm rate "
        f"{ALARM_RATE:.0%} set on unseen people and on what the set's own images score against them; accused at level "
        f"{LEVEL:.0%} by dealing people anew; both bounds of the excess over unseen people, the upper divided by recall"
    ),
    source="after Carlini et al. 2023, arXiv:2301.13188; Dar et al. 2024; conformal threshold; permutation by subject",
)


@audit("memorisation", question="Are synthetic images copies, also turned, cropped, bent or inverted ones?")
def memorisation(data: AuditInput) -> list[Measurement]:
    """The share of synthetic images flagged as copies beyond chance, with recall on 14 kinds of planted copies."""
    unseen, learning = unseen_arms(data)
    identical = identical_to(data.train, data.synthetic)
    alone = partial(only_identity, _copies, identical, train=data.train, asked=data.synthetic)
    reason = too_few(train=data.train, holdout=unseen, control=learning)
    if not reason and unseen.n_subjects + 1 < 1 / ALARM_RATE:
        reason = f"{unseen.n_subjects} people set the alarm, {round(1 / ALARM_RATE) - 1} are needed"
    if reason:
        return [alone(status=Status.NO_POWER, reason=reason)]
    if mismatch := same_source(data):
        return [alone(status=Status.NOT_ASSESSABLE, reason=mismatch)]
    white = white_level(data)
    detector = learn_detector(*lesson_of(learning, white=white, seed=data.seed), seed=data.seed)
    synthetic = GreyView(sets=(data.synthetic,), white=white)
    compared = compare(detector, Known.of(data.train, unseen, white=white), synthetic, alarm_rate=ALARM_RATE)
    return [_measure(compared, identical, n_learning=learning.n_subjects, seed=data.seed)]


def _measure(compared: Compared, identical: Mask, *, n_learning: int, seed: int) -> Measurement:
    n, real, cut = len(identical), compared.real, compared.cut
    flagged = (compared.ours > cut) | identical
    copies = Copies(
        n_flagged=int(flagged.sum()),
        n=n,
        n_identical=int(identical.sum()),
        p_value=compared.leak(n_deals=N_DEALS, seed=seed),
        recalls=compared.recalls(N_PLANTED, seed=seed),
    )
    n_innocent = int((real > cut).sum())
    status, reason = copies.verdict()
    value, low, high = excess_rate(copies.n_flagged, n, n_innocent, len(real))
    return _copies(
        status=status,
        reason=reason,
        p_value=0.0 if identical.any() else copies.p_value,
        value=max(0.0, value),
        ci_low=max(0.0, low),
        ci_high=min(1.0, max(0.0, high) / max(copies.recall, MIN_RECALL)),  # some copies are missed
        n={
            "synthetic_images": n,
            "train": compared.known.n_members,
            "holdout": len(real),
            "control": n_learning,
        },
        baseline=n_innocent / len(real),
        positive_control=copies.recall,
        negative_control=float((compared.mirrored > cut).mean()),
        details=copies.details(ALARM_RATE) | {"embedding": compared.detector.matcher.embedding.name},
        internal=compared.shown(flagged, identical)
        | {
            "threshold": cut,
            "scores": np.round(compared.ours, 3).tolist(),
            "unseen_scores": np.round(real, 3).tolist(),
        },
    )
