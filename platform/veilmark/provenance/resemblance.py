"""Whether an image shows the same content as another, after compression, noise, windowing, cropping, turning.

Both are shrunk to the same scale and freed of what is smooth, because all chests share their smooth part; then the
candidate is moved over the original, and the best normalised correlation counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from veilmark.provenance.watermark.plane import stretched

_SIDE = 64  # pixels of the original's longer side when compared
_RADIUS = 4  # of the local mean that is taken away
_MARGIN = 2  # pixels the candidate may be off, beyond what a crop allows
_SAME = 0.54  # between different X-rays 1 % lie above .50; rotation by 2 degrees leaves at least .54


def shows_the_same(candidate: NDArray[np.generic], original: NDArray[np.generic]) -> bool:
    """Compare stored pixels [H, W] or [H, W, 3]; mirrored and quarter-turned views count as the same."""
    scale = _SIDE / max(original.shape[:2])
    reference = _detail(original, scale)
    view = _detail(candidate, scale)
    views = [np.rot90(side, n) for side in (view, view[:, ::-1]) for n in range(4)]
    return max(_correlation(one, reference) for one in views) >= _SAME


def _detail(pixels: NDArray[np.generic], scale: float) -> NDArray[np.float64]:
    plane = stretched(pixels[None])[0]
    size = [max(2 * _MARGIN + 2, round(length * scale)) for length in plane.shape]
    small = np.asarray(Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BOX), dtype=np.float64)
    width = 2 * _RADIUS + 1
    padded = np.pad(small, _RADIUS, mode="edge")
    sums = np.pad(padded, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    mean = (sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]) / width**2
    detail: NDArray[np.float64] = small - mean
    return detail


def _correlation(candidate: NDArray[np.float64], original: NDArray[np.float64]) -> float:
    """The best normalised cross-correlation of the candidate, less a margin, with any part of the original."""
    height, width = (min(c, o) for c, o in zip(candidate.shape, original.shape, strict=True))
    part = candidate[:height, :width][_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    part = part - part.mean()
    shape = original.shape
    spectrum = np.fft.rfft2(original)
    ones = np.conj(np.fft.rfft2(np.ones(part.shape), shape))
    cross = np.fft.irfft2(spectrum * np.conj(np.fft.rfft2(part, shape)), shape)
    sums = np.fft.irfft2(spectrum * ones, shape)
    squares = np.fft.irfft2(np.fft.rfft2(original**2) * ones, shape)
    norm = np.sqrt(np.maximum(squares - sums**2 / part.size, 1e-6) * max(float((part**2).sum()), 1e-6))
    valid = cross / norm
    return float(valid[: shape[0] - part.shape[0] + 1, : shape[1] - part.shape[1] + 1].max())
