"""Marking: move every slot of every block towards the nearest point of the lattice that stands for its bit.

Spread-transform dither modulation with distortion compensation, B. Chen and G. W. Wornell, "Quantization index
modulation", IEEE Trans. Inf. Theory 47(4), 2001. Stored values are rounded and clipped at the image's own extremes, so
the change is measured, and made again with another strength until it is what the profile allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.errors import MarkError
from veilmark.provenance.watermark import plane
from veilmark.provenance.watermark.detect import carries
from veilmark.provenance.watermark.mark_id import PUBLIC_DETECTION_KEY, MarkId, message_bits
from veilmark.provenance.watermark.pattern import MIN_SIDE, Pattern, pattern_for, profile_for
from veilmark.provenance.watermark.strength import Strength, allowed_error, corrected, predicted, to_lattice

_N_FITS = 5
_CHUNK_PIXELS = 1 << 19  # keeps the working set of a batch in cache


@dataclass(frozen=True, kw_only=True, eq=False)
class MarkedImages:
    """`images` like those given; `is_marked` [N] says which of them carry a mark that was read back.

    An image that cannot hold a mark (under 64 px, without contrast) comes back unchanged and is not marked.
    """

    images: NDArray[np.generic]
    is_marked: NDArray[np.bool_]


def mark_images(
    images: NDArray[np.generic], ids: Sequence[MarkId], *, key: bytes = PUBLIC_DETECTION_KEY
) -> MarkedImages:
    """Mark images [N, H, W] or [N, H, W, 3], uint8 or uint16, one id each. Shape, type, minimum and maximum stay.

    Every mark is read back before the function returns. Raises MarkError for arrays of another kind, and for ids of
    several versions or of one that images of this size cannot carry.
    """
    plane.check_images(images)
    if len(images) != len(ids):
        raise MarkError(f"{len(images)} images but {len(ids)} ids", where="mark")
    result, is_marked = images.copy(), np.zeros(len(images), np.bool_)
    if not len(images) or min(images.shape[1:3]) < MIN_SIDE:
        return MarkedImages(images=result, is_marked=is_marked)
    pattern = pattern_for(profile_for(*images.shape[1:3]), key)
    _check_versions(ids, pattern)
    chunk = max(1, _CHUNK_PIXELS // images[0].size)
    for start in range(0, len(images), chunk):
        part = slice(start, start + chunk)
        result[part], is_marked[part] = _mark_chunk(images[part], ids[part], pattern, key)
    return MarkedImages(images=result, is_marked=is_marked)


def _check_versions(ids: Sequence[MarkId], pattern: Pattern) -> None:
    if len(versions := {mark.version for mark in ids}) > 1:
        raise MarkError("ids of several versions", where="mark", remedy="mark images of each version apart")
    if versions - set(pattern.profile.versions):
        what = f"an id of {ids[0].form.n_bits} bits is too long for images of this size"
        raise MarkError(what, where="mark", remedy="give a 64-bit id (16 digits) under 128 px a side")


def _mark_chunk(
    images: NDArray[np.generic], ids: Sequence[MarkId], pattern: Pattern, key: bytes
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Embed, measure, and embed again where the change is not what is allowed, or the mark is not read back.

    Marking moves the percentiles that the detector measures; so each try starts from those of the last one's result.
    """
    result, is_marked = images.copy(), np.zeros(len(images), np.bool_)
    low, span = plane.intensity_range(plane.luminance(images))
    pending = np.flatnonzero(span > 0)
    if not pending.size:
        return result, is_marked
    low, span = low[pending], span[pending]
    cover = _Cover(images=images[pending], signs=pattern.slot_signs(message_bits([ids[int(i)] for i in pending], key)))
    allowed = allowed_error(cover.images, pattern.profile)
    strength = cover.predicted_strength(pattern, low, span, allowed)
    for fit in range(_N_FITS):
        tried = cover.marked(pattern, low, span, strength)
        strength, fits = corrected(strength, _error(tried, cover.images), allowed, pattern.profile)
        done = fits | (fit == _N_FITS - 1)
        if done.any():
            done[done] = carries(tried[done], [ids[int(i)] for i in pending[done]], key=key)
        result[pending[done]], is_marked[pending[done]] = tried[done], True
        low, span = plane.intensity_range(plane.luminance(tried))
        rest = np.flatnonzero(~done & (span > 0))
        if not rest.size:
            break
        pending, cover, strength = pending[rest], cover.of(rest), strength.of(rest)
        low, span, allowed = low[rest], span[rest], allowed[rest]
    return result, is_marked


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cover:
    """Images [N, H, W(, 3)] and the signs [N, tile, tile, n_slots] that they shall carry."""

    images: NDArray[np.generic]
    signs: NDArray[np.float32]

    def of(self, rows: NDArray[np.intp]) -> _Cover:
        return self if len(rows) == len(self.images) else _Cover(images=self.images[rows], signs=self.signs[rows])

    @cached_property
    def _grey(self) -> NDArray[np.float32]:
        return plane.luminance(self.images)

    def predicted_strength(
        self,
        pattern: Pattern,
        low: NDArray[np.float32],
        span: NDArray[np.float32],
        allowed: NDArray[np.float32],
    ) -> Strength:
        slots = self._slots(pattern, low, span)
        stretched = allowed * np.square(np.float32(255) / span)
        return predicted(slots, self._tiled_signs(slots), pattern, stretched)

    def marked(
        self, pattern: Pattern, low: NDArray[np.float32], span: NDArray[np.float32], strength: Strength
    ) -> NDArray[np.generic]:
        """The same change on all channels, within the image's own extremes."""
        slots = self._slots(pattern, low, span)
        way = to_lattice(slots, self._tiled_signs(slots), strength.step)
        part = (strength.alpha * span / np.float32(255))[:, None, None, None]
        change = plane.from_blocks((way * part) @ pattern.projection.T)
        channels = self.images[..., None] if self.images.ndim == 3 else self.images
        rows, columns = change.shape[1:]
        lowest, highest = (f(channels, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
        stored = np.rint(channels[:, :rows, :columns].astype(np.float32) + change[..., None])
        marked = channels.copy()
        marked[:, :rows, :columns] = np.clip(stored, lowest, highest)
        return _with_extremes(channels, marked).reshape(self.images.shape)

    def _slots(self, pattern: Pattern, low: NDArray[np.float32], span: NDArray[np.float32]) -> NDArray[np.float32]:
        grey = (self._grey - low[:, None, None]) * (np.float32(255) / span)[:, None, None]
        return plane.to_blocks(grey) @ pattern.projection

    def _tiled_signs(self, slots: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, columns = slots.shape[1:3]
        tile = self.signs.shape[1]
        return np.tile(self.signs, (1, -(-rows // tile), -(-columns // tile), 1))[:, :rows, :columns]


def _error(marked: NDArray[np.generic], images: NDArray[np.generic]) -> NDArray[np.float32]:
    change = (marked.astype(np.float32) - images.astype(np.float32)).reshape(len(images), -1)
    error: NDArray[np.float32] = np.einsum("ij,ij->i", change, change) / change.shape[1]
    return error


def _with_extremes(original: NDArray[np.generic], marked: NDArray[np.generic]) -> NDArray[np.generic]:
    """Give back the one darkest or brightest value that marking moved: viewers window by minimum and maximum."""
    before, after = original.reshape(len(original), -1), marked.reshape(len(marked), -1)
    for extreme, where in ((np.min, np.argmin), (np.max, np.argmax)):
        lost = np.flatnonzero(extreme(before, axis=1) != extreme(after, axis=1))
        at = where(before[lost], axis=1)
        after[lost, at] = before[lost, at]
    return after.reshape(marked.shape)
