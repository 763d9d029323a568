"""Marking: move every slot of every block to the nearest point of the lattice that stands for its bit.

Spread-transform dither modulation, B. Chen and G. W. Wornell, "Quantization index modulation", IEEE Trans. Inf.
Theory 47(4), 2001. Clipping at the image's own extremes undoes part of a change, so the projection is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.errors import MarkError
from veilmark.provenance.watermark import plane
from veilmark.provenance.watermark.detect import direct_ids
from veilmark.provenance.watermark.mark_id import PUBLIC_DETECTION_KEY, MarkId, message_bits
from veilmark.provenance.watermark.pattern import BLOCK, MIN_SIDE, STRENGTHS, Pattern, pattern_for, profile_for

_N_ITERATIONS = 4
_N_RANGE_FITS = 4
_CLIPPING_ROOM = 1.05  # clipping makes the projection work harder, and a stronger mark clips more
_CHUNK_PIXELS = 1 << 20  # keeps the working set of a batch in cache


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

    Every mark is read back before the function returns. Raises MarkError for arrays of another kind.
    """
    plane.check_images(images)
    if len(images) != len(ids):
        raise MarkError(f"{len(images)} images but {len(ids)} ids", where="mark")
    result, is_marked = images.copy(), np.zeros(len(images), np.bool_)
    if not len(images) or min(images.shape[1:3]) < MIN_SIDE:
        return MarkedImages(images=result, is_marked=is_marked)
    pattern = pattern_for(profile_for(*images.shape[1:3]), key)
    chunk = max(1, _CHUNK_PIXELS // images[0].size)
    for start in range(0, len(images), chunk):
        part = slice(start, start + chunk)
        result[part], is_marked[part] = _mark_chunk(images[part], ids[part], pattern, key)
    return MarkedImages(images=result, is_marked=is_marked)


def _mark_chunk(
    images: NDArray[np.generic], ids: Sequence[MarkId], pattern: Pattern, key: bytes
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Embed, read back, and embed again where the mark moved the percentiles that the detector measures."""
    signs = pattern.slot_signs(message_bits(ids, key))
    low, span = plane.intensity_range(plane.luminance(images))
    result, is_marked = images.copy(), np.zeros(len(images), np.bool_)
    pending = np.flatnonzero(span > 0)
    for _ in range(_N_RANGE_FITS):
        if not pending.size:
            break
        candidates = _embed(images[pending], signs[pending], pattern, low[pending], span[pending])
        found = direct_ids(candidates, key=key)
        read_back = np.array([got == ids[int(i)] for got, i in zip(found, pending, strict=True)], np.bool_)
        result[pending[read_back]] = candidates[read_back]
        is_marked[pending[read_back]] = True
        low[pending], span[pending] = plane.intensity_range(plane.luminance(candidates))
        pending = pending[~read_back & (span[pending] > 0)]
    return result, is_marked


def _embed(
    images: NDArray[np.generic],
    signs: NDArray[np.float32],
    pattern: Pattern,
    low: NDArray[np.float32],
    span: NDArray[np.float32],
) -> NDArray[np.generic]:
    channels = images[..., None] if images.ndim == 3 else images
    rows, columns = channels.shape[1] // BLOCK * BLOCK, channels.shape[2] // BLOCK * BLOCK
    scale = (255 / span).astype(np.float32)[:, None, None, None]
    stretched = [
        plane.to_blocks((channels[:, :rows, :columns, c].astype(np.float32) - low[:, None, None]) * scale[..., 0])
        for c in range(channels.shape[3])
    ]
    lowest, highest = (f(channels, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    steps = pattern.profile.step * _strengths(highest.ravel(), span)
    moved = _project_on_lattice(stretched, plane.channel_weights(images), signs, pattern, steps)
    marked = channels.copy()
    for c, blocks in enumerate(moved):
        stored = np.rint(plane.from_blocks(blocks)[..., None] / scale + low[:, None, None, None])
        marked[:, :rows, :columns, c : c + 1] = np.clip(stored, lowest, highest)
    return _with_extremes(channels, marked).reshape(images.shape)


def _strengths(highest: NDArray[np.generic], span: NDArray[np.float32]) -> NDArray[np.float32]:
    """The greatest strength [N] whose step, in stored values, is not above that of an image that uses its depth."""
    depth = 2 ** np.ceil(np.log2(highest.astype(np.float32) + 1)) - 1
    allowed = np.searchsorted(STRENGTHS, depth / (_CLIPPING_ROOM * span), side="right") - 1
    strengths: NDArray[np.float32] = np.array(STRENGTHS, np.float32)[np.maximum(allowed, 0)]
    return strengths


def _project_on_lattice(
    channels: list[NDArray[np.float32]],
    weights: NDArray[np.float32],
    signs: NDArray[np.float32],
    pattern: Pattern,
    steps: NDArray[np.float32],
) -> list[NDArray[np.float32]]:
    """The same change on every channel until luminance lies on the lattice of `steps` [N] within the image's range."""
    n, rows, columns, _ = channels[0].shape
    tile, step = pattern.profile.tile, steps[:, None, None, None]
    tiled = np.tile(signs, (1, -(-rows // tile), -(-columns // tile), 1))[:, :rows, :columns]
    offset = (pattern.dither + (1 - tiled) / 4) * step
    lowest = np.min([c.reshape(n, -1).min(axis=1) for c in channels], axis=0)[:, None, None, None]
    highest = np.max([c.reshape(n, -1).max(axis=1) for c in channels], axis=0)[:, None, None, None]
    slots = _luminance(channels, weights) @ pattern.projection
    target = (np.rint((slots - offset) / step) * step + offset).astype(np.float32)
    for _ in range(_N_ITERATIONS):
        change = (target - _luminance(channels, weights) @ pattern.projection) @ pattern.projection.T
        channels = [np.clip(c + change, lowest, highest) for c in channels]
    return channels


def _luminance(channels: list[NDArray[np.float32]], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    grey = np.zeros_like(channels[0])
    for weight, channel in zip(weights, channels, strict=True):
        grey += weight * channel
    return grey


def _with_extremes(original: NDArray[np.generic], marked: NDArray[np.generic]) -> NDArray[np.generic]:
    """Give back the one darkest or brightest value that marking moved: viewers window by minimum and maximum."""
    before, after = original.reshape(len(original), -1), marked.reshape(len(marked), -1)
    for extreme, where in ((np.min, np.argmin), (np.max, np.argmax)):
        lost = np.flatnonzero(extreme(before, axis=1) != extreme(after, axis=1))
        at = where(before[lost], axis=1)
        after[lost, at] = before[lost, at]
    return after.reshape(marked.shape)
