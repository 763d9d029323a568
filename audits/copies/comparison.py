"""Images held against training people and against unseen ones: their scores, the alarm, the test, the flags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.copies.calibration import best_among, hits_p_value
from audits.copies.detector import CopyDetector, planted
from audits.copies.known import Known
from audits.copies.matching import DETECTORS, Gallery, Matches
from audits.copies.sheet import shown_pairs
from audits.copies.visits import by_person
from audits.copy_detector import p_values, threshold
from audits.flags import flag_rows
from audits.pixels import Floats, Greys
from audits.stats import Doubles

# A match that counts in the test of all images, in nats of surprise. Fixed beforehand: the per-image threshold knows
# who was trained on, and a test that deals people anew must not.
HIT = 7.5

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """matches, score: of the asked images [Q, H, W] with all known ones. ours, mirrored: best score [Q] with training
    images, with others. real: that of each unseen person with training images. cut: the score that raises the alarm.
    """

    detector: CopyDetector
    known: Known
    gallery: Gallery
    asked: Greys
    matches: Matches
    score: Floats
    ours: Doubles
    mirrored: Doubles
    real: Doubles
    cut: float

    @property
    def mirror(self) -> Doubles:
        """[blocks, Q]: once for each block of training people as large as the unseen arm."""
        return np.tile(self.mirrored, (self.known.n_blocks, 1))

    def leak(self, *, n_deals: int, seed: int) -> float:
        """P-value of "nothing leaked", by dealing anew who was trained on."""
        members, person = self.known.people()
        return hits_p_value(self.score > HIT, person[self.matches.candidates], members, n_draws=n_deals, seed=seed)

    def recalls(self, n_planted: int, *, seed: int) -> dict[str, float]:
        """What share of `n_planted` copies raises the alarm, by transform; of few training images several of each."""
        rng = np.random.default_rng(seed)
        sources = self.known.grey[np.resize(rng.permutation(self.known.n_train_images), n_planted)]
        copies = planted(sources, rng)
        best = _best(self.detector, self.gallery, np.concatenate(list(copies.values())), self.known.members)
        parts = np.split(best > self.cut, len(copies))
        return {name: float(part.mean()) for name, part in zip(copies, parts, strict=True)}

    def shown(self, flagged: Mask, identical: Mask) -> dict[str, object]:
        """Flags, each with its nearest training image, and the sheet by which a person confirms or dismisses them."""
        nearest, detectors = nearest_member(self.detector, self.known, self.matches, self.score)
        image_p = p_values(self.ours, self.real, self.mirror)
        flags = flag_rows(flagged, identical, image_p, detectors)
        return {"flags": flags, **shown_pairs(flagged, nearest, self.ours, self.asked, self.known.grey)}


def nearest_member(
    detector: CopyDetector, known: Known, matches: Matches, score: Floats
) -> tuple[NDArray[np.intp], list[str]]:
    """The training image that each asked image is most a copy of [Q], and the detector that saw most of it."""
    column = np.where(known.members[matches.candidates], score, -1).argmax(axis=1)[:, None]
    nearest = np.take_along_axis(matches.candidates, column, axis=1)[:, 0]
    evidence = np.take_along_axis(matches.evidence, column[..., None], axis=1)[:, 0]
    return nearest, [DETECTORS[i] for i in detector.fusion.surprise(evidence).argmax(axis=1)]


def compare(detector: CopyDetector, known: Known, asked: Greys, *, alarm_rate: float) -> Compared:
    """Hold images [Q, H, W] against the known people. No unseen person is matched with himself."""
    gallery = detector.matcher.gallery(known.grey, known.subjects)
    members = known.members
    matches, score = detector.match(asked, gallery)
    ours, mirrored = (best_among(score, matches.candidates, arm).astype(np.float64) for arm in (members, ~members))
    strangers = known.subjects[~members]
    real = by_person(_best(detector, gallery, known.strangers, members, subjects=strangers), strangers)
    return Compared(
        detector=detector,
        known=known,
        gallery=gallery,
        asked=asked,
        matches=matches,
        score=score,
        ours=ours,
        mirrored=mirrored,
        real=real,
        cut=threshold(real, np.tile(mirrored, (known.n_blocks, 1)), alarm_rate=alarm_rate),
    )


def _best(
    detector: CopyDetector,
    gallery: Gallery,
    grey: Greys,
    members: Mask,
    *,
    subjects: NDArray[np.str_] | None = None,
) -> Doubles:
    matches, score = detector.match(grey, gallery, subjects=subjects)
    return best_among(score, matches.candidates, members).astype(np.float64)
