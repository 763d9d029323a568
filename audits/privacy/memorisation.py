"""Memorisation: is a synthetic image a copy of a training image, however it was turned, cropped, bent or toned?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Law, Measurement, Status
from audits.checks import identical_to, same_source, too_few, unseen_arms, white_level
from audits.copies.calibration import best_among, hits_p_value
from audits.copies.comparison import HIT, nearest_member
from audits.copies.detector import CopyDetector, learn_detector, planted
from audits.copies.known import Known
from audits.copies.matching import Matches
from audits.copies.sheet import shown_pairs
from audits.copies.visits import by_person
from audits.copy_detector import p_values, threshold
from audits.flags import flag_rows, only_identity
from audits.pixels import Floats, to_grey
from audits.registry import audit
from audits.stats import Doubles, excess_rate

ALARM_RATE = 0.01
LEVEL = 0.01
N_DRAWS = 999
N_PLANTED = 40
MIN_RECALL = 0.8

Mask = NDArray[np.bool_]

_copies = partial(
    Measurement,
    name="memorisation.copy_rate",
    law=Law.SINGLING_OUT,
    unit="share of synthetic images flagged, beyond real unseen people",
    method=(
        "five detectors, each calibrated on auditor-only strangers, their log p-values summed; per-image alarm rate "
        f"{ALARM_RATE:.0%} set on unseen people and on what the set's own images score against them; accused at level "
        f"{LEVEL:.0%} by dealing people anew; both bounds of the excess over unseen people, the upper divided by recall"
    ),
    source="after Carlini et al. 2023, arXiv:2301.13188; Dar et al. 2024; conformal threshold; permutation by subject",
)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Matches and scores of all queries against train and unseen people; where each kind of query lies."""

    matches: Matches
    score: Floats
    parts: Mapping[str, slice]

    def best(self, part: str, members: Mask) -> Floats:
        """Best score of these queries among the members of the gallery."""
        at = self.parts[part]
        return best_among(self.score[at], self.matches.candidates[at], members)


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
    detector = learn_detector(to_grey(learning, white=white), learning.subjects(), seed=data.seed)
    people = Known.of(data.train, unseen, white=white)
    synthetic = to_grey(data.synthetic, white=white)
    return [_measure(detector, people, synthetic, identical, n_learning=learning.n_subjects, seed=data.seed)]


def _measure(
    detector: CopyDetector, people: Known, synthetic: Floats, identical: Mask, *, n_learning: int, seed: int
) -> Measurement:
    members, n = people.members, len(synthetic)
    found = _match(detector, people, synthetic, seed=seed)
    score, mirrored = (found.best("synthetic", arm).astype(np.float64) for arm in (members, ~members))
    real = by_person(found.best("unseen", members).astype(np.float64), people.subjects[~members])
    mirror = np.tile(mirrored, (people.n_blocks, 1))
    cut = threshold(real, mirror, alarm_rate=ALARM_RATE)
    flagged = (score > cut) | identical
    p_value = _leak(found, people, seed=seed)
    recalls = {name: float((found.best(name, members) > cut).mean()) for name in found.parts if name not in _REAL}
    recall = float(np.mean(list(recalls.values())))
    n_flagged, n_innocent = int(flagged.sum()), int((real > cut).sum())
    status, reason = _verdict(int(identical.sum()), p_value, recalls, f"{n_flagged} of {n} images flagged")
    value, low, high = excess_rate(n_flagged, n, n_innocent, len(real))
    return _copies(
        status=status,
        reason=reason,
        p_value=0.0 if identical.any() else p_value,
        value=max(0.0, value),
        ci_low=max(0.0, low),
        ci_high=min(1.0, max(0.0, high) / max(recall, MIN_RECALL)),  # some copies are missed
        n={
            "synthetic_images": n,
            "train": people.n_members,
            "holdout": len(real),
            "control": n_learning,
        },
        baseline=n_innocent / len(real),
        positive_control=recall,
        negative_control=float((mirrored > cut).mean()),
        details={
            "flagged_rate": float(flagged.mean()),
            "recall": recalls,
            "p_value": p_value,
            "alarm_rate": ALARM_RATE,
            "n_identical": int(identical.sum()),
            "embedding": detector.matcher.embedding.name,
        },
        internal=_internal(detector, found, people, synthetic, flagged, identical, p_values(score, real, mirror))
        | {"threshold": cut, "scores": np.round(score, 3).tolist(), "unseen_scores": np.round(real, 3).tolist()},
    )


_REAL = ("synthetic", "unseen")


def _match(detector: CopyDetector, people: Known, synthetic: Floats, *, seed: int) -> _Found:
    """All queries at once: what is made of a gallery image is made once a call. Nobody is matched with himself."""
    rng = np.random.default_rng(seed)
    sources = people.grey[rng.permutation(people.n_train_images)[:N_PLANTED]]
    queries = {"synthetic": synthetic, "unseen": people.grey[~people.members], **planted(sources, rng)}
    subjects = {name: np.full(len(images), "", dtype=people.subjects.dtype) for name, images in queries.items()}
    subjects["unseen"] = people.subjects[~people.members]
    gallery = detector.matcher.gallery(people.grey, people.subjects)
    matches, score = detector.match(
        np.concatenate(list(queries.values())), gallery, subjects=np.concatenate(list(subjects.values()))
    )
    ends = np.cumsum([len(images) for images in queries.values()]).tolist()
    parts = {name: slice(end - len(images), end) for (name, images), end in zip(queries.items(), ends, strict=True)}
    return _Found(matches=matches, score=score, parts=parts)


def _leak(found: _Found, people: Known, *, seed: int) -> float:
    """The test of the whole set: training people against unseen ones."""
    members, person = people.people()
    at = found.parts["synthetic"]
    return hits_p_value(
        found.score[at] > HIT, person[found.matches.candidates[at]], members, n_draws=N_DRAWS, seed=seed
    )


def _verdict(n_identical: int, p_value: float, recalls: Mapping[str, float], flagged: str) -> tuple[Status, str]:
    recall = float(np.mean(list(recalls.values())))
    if n_identical:
        return Status.DETECTED, f"{n_identical} synthetic images equal a training image bit for bit"
    if p_value <= LEVEL:
        return Status.DETECTED, f"{flagged}, more than chance gives (p = {p_value:.3f})"
    if recall < MIN_RECALL:
        return Status.NO_POWER, f"only {recall:.0%} of planted copies were found, {MIN_RECALL:.0%} are needed"
    weak = ", ".join(f"{name} {found:.0%}" for name, found in recalls.items() if found < MIN_RECALL)
    return Status.NOT_DETECTED, f"{flagged}, as chance gives (p = {p_value:.2f})" + (
        f"; weak on {weak}" if weak else ""
    )


def _internal(
    detector: CopyDetector,
    found: _Found,
    people: Known,
    synthetic: Floats,
    flagged: Mask,
    identical: Mask,
    image_p: Doubles,
) -> dict[str, object]:
    """Flags, each with its nearest training image, and a sheet of the most suspicious pairs."""
    at = found.parts["synthetic"]
    matches = Matches(candidates=found.matches.candidates[at], evidence=found.matches.evidence[at])
    nearest, detectors = nearest_member(detector, people, matches, found.score[at])
    best = found.best("synthetic", people.members)
    return {
        "flags": flag_rows(flagged, identical, image_p, detectors),
        **shown_pairs(flagged, nearest, best, synthetic, people.grey),
    }
