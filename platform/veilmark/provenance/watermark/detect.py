"""Finding a mark without the original.

The search goes through stages, each a set of hypotheses about what the image went through. A hypothesis turns the
image into soft slot values; its pilots tell how promising it is; the best few of a stage are decoded, each into a few
likely messages; a message counts where its keyed 32-bit check holds.

False positives are derived, not fitted: a message decoded from an unmarked image passes the check with probability
2^-32, so a search that checked n messages errs with probability at most n x 2^-32. The last stage needs no decoding:
it correlates the soft values with the code words of a release's known ids. Code words are scrambled by keyed signs,
and by Hoeffding's inequality a sum of fixed values with random signs exceeds t times their norm with probability
at most exp(-t^2 / 2); t is chosen so that the sum over ids and hypotheses stays below `CORRELATION_ERROR`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.watermark import code, plane
from veilmark.provenance.watermark.hypotheses import (
    Searched,
    aligned,
    by_gain,
    by_offset,
    by_orientation,
    by_rotation,
    by_rotation_and_offset,
    by_scale,
    unchanged,
)
from veilmark.provenance.watermark.mark_id import (
    CHECK_BITS,
    FORMS,
    PUBLIC_DETECTION_KEY,
    MarkId,
    checked_id,
    message_bits,
)
from veilmark.provenance.watermark.pattern import BLOCK, PROFILES, Pattern, Profile, pattern_for, profile_for
from veilmark.provenance.watermark.soft import Hypotheses, correlate

CORRELATION_ERROR = 2.0**-24
_N_CANDIDATES = 4  # messages of each hypothesis that is decoded; more find hardly more
_LEAST_LEFT = 0.7  # of a side; where a crop took more, too little of a tile is left to decode


@dataclass(frozen=True, kw_only=True)
class Detection:
    """`stage` names what found the mark, "none" where nothing did.

    `false_positive_rate` bounds the probability that this search, as far as it went, finds a mark in an unmarked image.
    """

    detected: bool
    id: MarkId | None
    stage: str
    false_positive_rate: float


def _own(searched: Searched) -> list[Profile]:
    return [profile_for(*searched.image.shape)]


def _own_and_larger(searched: Searched) -> list[Profile]:
    """Cropping may have made an image too small for the tile that it was marked with."""
    at = PROFILES.index(profile_for(*searched.image.shape))
    longest = min(searched.image.shape) / _LEAST_LEFT
    return [PROFILES[at], *(profile for profile in PROFILES[at + 1 : at + 2] if profile.tile * BLOCK <= longest)]


def _larger(searched: Searched) -> list[Profile]:
    return _own_and_larger(searched)[-1:]


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """`n_decoded` of the hypotheses are decoded for each of `profiles`."""

    name: str
    hypotheses: Callable[[Searched, Pattern], Hypotheses]
    n_decoded: int
    profiles: Callable[[Searched], list[Profile]] = _own


# The most likely and the cheapest first.
_STAGES = (
    _Stage(name="direct", hypotheses=unchanged, n_decoded=1),
    _Stage(name="gain", hypotheses=by_gain, n_decoded=32),
    _Stage(name="flip", hypotheses=by_orientation, n_decoded=3),
    _Stage(name="crop", hypotheses=by_offset, n_decoded=32, profiles=_own_and_larger),
    _Stage(name="rotation", hypotheses=by_rotation, n_decoded=16),
    _Stage(name="scale", hypotheses=by_scale, n_decoded=8, profiles=lambda _: list(PROFILES)),
    _Stage(name="rotation and crop", hypotheses=by_rotation_and_offset, n_decoded=32, profiles=_larger),
)


def detect_mark(
    image: NDArray[np.generic],
    *,
    key: bytes = PUBLIC_DETECTION_KEY,
    known_ids: Sequence[MarkId] | None = None,
) -> Detection:
    """Search one image [H, W] or [H, W, 3], uint8 or uint16; with `known_ids` also by correlation against them.

    Raises MarkError for an array of another kind.
    """
    plane.check_images(image[None])
    searched = Searched(image=plane.stretched(image[None])[0])
    return _Search(searched, key).run(known_ids or ())


def direct_ids(images: NDArray[np.generic], *, key: bytes = PUBLIC_DETECTION_KEY) -> list[MarkId | None]:
    """The first stage alone on a batch [N, H, W(, 3)]: what the unmodified image says.

    At most 2^-32 false positives an image and version of ids that its tile can carry.
    """
    pattern, folded = _direct(images, key)
    found: list[MarkId | None] = [None] * len(images)
    for version in pattern.profile.versions:
        if rest := [row for row, mark in enumerate(found) if mark is None]:
            messages = code.decode(pattern.gather(folded[rest], _n_coded(version)))
            for row, message in zip(rest, messages, strict=True):
                found[row] = checked_id(message, key)
    return found


def carries(images: NDArray[np.generic], ids: Sequence[MarkId], *, key: bytes) -> NDArray[np.bool_]:
    """Whether `direct_ids` finds exactly these ids of one version, [N]. Most images are certain without decoding."""
    pattern, folded = _direct(images, key)
    messages = message_bits(ids, key)
    words = code.signs(messages)
    soft = pattern.gather(folded, words.shape[1])
    found = code.is_nearest(soft, words)
    if (unsure := np.flatnonzero(~found)).size:
        found[unsure] = (code.decode(soft[unsure]) == messages[unsure]).all(axis=1)
    return found


def _n_coded(version: int) -> int:
    return code.coded_length(FORMS[version].n_message_bits)


def _direct(images: NDArray[np.generic], key: bytes) -> tuple[Pattern, NDArray[np.float32]]:
    plane.check_images(images)
    pattern = pattern_for(profile_for(*images.shape[1:3]), key)
    return pattern, aligned(plane.stretched(images), pattern).folded


@dataclass
class _Search:
    searched: Searched
    key: bytes
    n_checked: int = 0
    evidence: list[tuple[Pattern, NDArray[np.float32]]] = field(default_factory=list)

    def run(self, known_ids: Sequence[MarkId]) -> Detection:
        if min(self.searched.image.shape) >= BLOCK:
            for stage in _STAGES:
                if (found := self._decode(stage)) is not None:
                    return self._detection(found, stage.name, 0.0)
            if known_ids:
                found = self._correlate(known_ids)
                return self._detection(found, "manifest" if found else "none", CORRELATION_ERROR)
        return self._detection(None, "none", 0.0)

    def _detection(self, found: MarkId | None, stage: str, extra_rate: float) -> Detection:
        rate = self.n_checked * 2.0**-CHECK_BITS + extra_rate
        return Detection(detected=found is not None, id=found, stage=stage, false_positive_rate=rate)

    def _decode(self, stage: _Stage) -> MarkId | None:
        for profile in stage.profiles(self.searched):
            pattern = pattern_for(profile, self.key)
            best = stage.hypotheses(self.searched, pattern).best(stage.n_decoded)
            if not len(best.folded):
                continue
            self.evidence.append((pattern, best.folded))
            for version in profile.versions:
                listed = code.candidates(pattern.gather(best.folded, _n_coded(version)), _N_CANDIDATES)
                messages = listed.reshape(-1, listed.shape[2])
                self.n_checked += len(messages)
                for message in messages:
                    if (found := checked_id(message, self.key)) is not None:
                        return found
        return None

    def _correlate(self, known_ids: Sequence[MarkId]) -> MarkId | None:
        """Ids of a version are compared with the evidence of those tiles that can carry it."""
        of_version = {v: [mark for mark in known_ids if mark.version == v] for v in FORMS}
        words = {v: code.signs(message_bits(ids, self.key)) for v, ids in of_version.items() if ids}
        pairs = [(v, *seen) for v in words for seen in self.evidence if v in seen[0].profile.versions]
        n_tried = sum(len(words[v]) * len(folded) for v, _, folded in pairs)
        best, best_z = None, math.sqrt(2 * math.log(max(n_tried, 1) / CORRELATION_ERROR))
        for version, pattern, folded in pairs:
            z = correlate(folded, words[version], pattern)
            at = int(z.argmax())
            if z[at] > best_z:
                best, best_z = of_version[version][at], float(z[at])
        return best
