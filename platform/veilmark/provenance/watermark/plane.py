"""Stored pixels to the plane that a mark lives in, and back: luminance, the 0..255 range, 8x8 blocks.

The range is (x - p0.5) / (p99.5 - p0.5) x 255: percentiles, because a window or a few bright pixels must not move it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.errors import MarkError
from veilmark.provenance.watermark.pattern import BLOCK

_RANGE = (0.005, 0.995)
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, what JPEG keeps best


def check_images(images: NDArray[np.generic]) -> None:
    """Refuse anything but uint8 or uint16 [N, H, W] or [N, H, W, 3]."""
    shape_ok = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if not shape_ok or images.dtype not in (np.uint8, np.uint16):
        raise MarkError(
            f"array of {images.dtype} {list(images.shape)}", where="images", remedy="give uint8 or uint16 [N,H,W(,3)]"
        )


def channel_weights(images: NDArray[np.generic]) -> NDArray[np.float32]:
    """The weight of each channel in luminance: [1] for grey, [3] for RGB. Weights sum to 1."""
    return _LUMINANCE if images.ndim == 4 else np.ones(1, np.float32)


def luminance(images: NDArray[np.generic]) -> NDArray[np.float32]:
    """[N, H, W] in stored units."""
    plain = images.astype(np.float32)
    return plain @ _LUMINANCE if images.ndim == 4 else plain


def intensity_range(grey: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(p0.5, p99.5 - p0.5) of each image, [N] each, in stored units."""
    flat = grey.reshape(len(grey), -1)
    last = flat.shape[1] - 1
    below = [int(last * share) for share in _RANGE]
    ranked = np.partition(flat, [*below, *(min(rank + 1, last) for rank in below)], axis=1)
    low, high = (_between(ranked, last * share) for share in _RANGE)
    return low, high - low


def _between(ranked: NDArray[np.float32], rank: float) -> NDArray[np.float32]:
    """The values [N] at a rank that need not be whole, as `numpy.percentile` interpolates."""
    below = int(rank)
    above = min(below + 1, ranked.shape[1] - 1)
    part = np.float32(rank - below)
    value: NDArray[np.float32] = ranked[:, below] + (ranked[:, above] - ranked[:, below]) * part
    return value


def stretched(images: NDArray[np.generic]) -> NDArray[np.float32]:
    """Luminance in the 0..255 range, [N, H, W]; zero for an image without contrast."""
    grey = luminance(images)
    low, span = intensity_range(grey)
    scale = np.where(span > 0, 255 / np.where(span > 0, span, 1), 0).astype(np.float32)
    return (grey - low[:, None, None]) * scale[:, None, None]


def to_blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N, H, W] to [N, H // 8, W // 8, 64]; the strip beyond the last whole block is left out."""
    n, height, width = plane.shape
    rows, columns = height // BLOCK, width // BLOCK
    cut = plane[:, : rows * BLOCK, : columns * BLOCK].reshape(n, rows, BLOCK, columns, BLOCK)
    return cut.transpose(0, 1, 3, 2, 4).reshape(n, rows, columns, BLOCK * BLOCK)


def from_blocks(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of `to_blocks`: [N, R, C, 64] to [N, 8 R, 8 C]."""
    n, rows, columns, _ = blocks.shape
    apart = blocks.reshape(n, rows, columns, BLOCK, BLOCK).transpose(0, 1, 3, 2, 4)
    return apart.reshape(n, rows * BLOCK, columns * BLOCK)
