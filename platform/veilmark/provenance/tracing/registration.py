"""Laying a leaked image over its released original: mirrored, turned, shrunk, cropped, rotated by a little.

First the view, scale and whole-pixel shift that agree best (normalised cross-correlation of detail), then an affine
refinement by Gauss-Newton steps from coarse to fine: B. D. Lucas and T. Kanade, "An iterative image registration
technique", IJCAI 1981. Recipients' layers play no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float32]
_AS_IT_IS = 0.97  # correlation of detail from which no other view is tried
_COMPARED_SIDE = 128  # pixels of the original's longer side while views are compared
_LARGEST = 4  # times the original's size, up to which a leak is also looked at unresized
_ZOOMS = (1.0, 0.95, 0.9, 0.85, 0.8)  # of the leak fitted to the original's size: it may be cropped, then enlarged
_DETAIL = (1.0, 4.0)  # pixels: what is finer may be noise, what is coarser is the same in all chests
_COARSEST = 1 / 40  # of the longer side: the first blur of the refinement, halved until it is
_FINEST = 0.6  # pixels
_FEWEST = 64  # pixels of the original that a leak must show to be refined
_STEPS = 8
_SETTLED = 0.01  # pixels: a smaller step ends the refinement at one blur
_MOST_BENT = 0.3  # a larger change of scale or angle is no registration
_SMALLEST = 8  # pixels of a side
_MARGIN = 2  # pixels at the leak's border that interpolation spoils


@dataclass(frozen=True, kw_only=True, eq=False)
class Registered:
    """`plane` [H, W] on the original's grid; `seen` [H, W]: where the leak has pixels."""

    plane: Plane
    seen: NDArray[np.bool_]


def registrations(leak: Plane, original: Plane) -> list[Registered]:
    """The leak [h, w] on the original's grid [H, W], twice: moved by whole pixels, and refined."""
    view, shift = _coarse(leak, original)
    start = np.array([1, 0, shift[1], 0, 1, shift[0]], np.float64)
    return [_placed(view, start, original.shape), _placed(view, _refined(view, original, start), original.shape)]


def _coarse(leak: Plane, original: Plane) -> tuple[Plane, tuple[int, int]]:
    """The best view of the leak, and where the original's first pixel lies in it (rows, columns)."""
    scale = min(1.0, _COMPARED_SIDE / max(original.shape))
    reference = _detail(_scaled(original, scale))
    best_score, best = -np.inf, leak
    for view in _views(leak, original.shape):
        score, _ = _match(_detail(_scaled(view, scale)), reference)
        if score > best_score:
            best_score, best = score, view
        if score > _AS_IT_IS:
            break
    return best, _match(_detail(best), _detail(original))[1]


def _views(leak: Plane, shape: tuple[int, ...]) -> Iterator[Plane]:
    if max(leak.shape) <= _LARGEST * max(shape):
        yield from _turned(leak)  # as large as it is: untouched, or cropped
    for zoom in _ZOOMS:
        height, width = (round(length * zoom) for length in shape)
        for turned in _turned(leak):
            if (height, width) != turned.shape:
                yield _resized(turned, height, width)


def _scaled(plane: Plane, scale: float) -> Plane:
    height, width = (max(_SMALLEST, round(length * scale)) for length in plane.shape)
    return plane if scale == 1 else _resized(plane, height, width)


def _turned(plane: Plane) -> Iterator[Plane]:
    for side in (plane, plane[:, ::-1]):
        for n in range(4):
            yield np.ascontiguousarray(np.rot90(side, n))


def _resized(plane: Plane, height: int, width: int) -> Plane:
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC), np.float32)


def _detail(plane: Plane) -> Plane:
    fine, coarse = (_blurred(plane, deviation) for deviation in _DETAIL)
    return fine - coarse


def _blurred(plane: Plane, deviation: float) -> Plane:
    pad = int(3 * deviation) + 1
    padded = np.pad(plane, pad, mode="symmetric" if min(plane.shape) >= pad else "edge")
    fy, fx = np.fft.fftfreq(padded.shape[0]), np.fft.rfftfreq(padded.shape[1])
    kernel = np.exp(-2 * (np.pi * deviation) ** 2 * (fy[:, None] ** 2 + fx[None] ** 2))
    blurred = np.fft.irfft2(np.fft.rfft2(padded) * kernel, s=padded.shape)
    return blurred[pad:-pad, pad:-pad].astype(np.float32)


def _match(view: Plane, reference: Plane) -> tuple[float, tuple[int, int]]:
    """The greatest correlation over all shifts, and the shift of the original's first pixel in the view."""
    shape = [a + b for a, b in zip(view.shape, reference.shape, strict=True)]
    spectrum = np.fft.rfft2(view, shape) * np.conj(np.fft.rfft2(reference, shape))
    cross = np.fft.irfft2(spectrum, s=shape)
    at = np.unravel_index(cross.argmax(), cross.shape)
    norm = max(float(np.linalg.norm(view) * np.linalg.norm(reference)), 1e-6)
    y, x = (int(i) - n if i >= v else int(i) for i, n, v in zip(at, shape, view.shape, strict=True))
    return float(cross.max()) / norm, (y, x)


def _placed(view: Plane, warp: NDArray[np.float64], shape: tuple[int, ...]) -> Registered:
    plane, seen = _warped(view, warp, shape)
    return Registered(plane=plane, seen=seen)


def _warped(view: Plane, warp: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[Plane, NDArray[np.bool_]]:
    """The view seen through `warp` (a, b, c, d, e, f): x' = a x + b y + c, y' = d x + e y + f, at pixels' middles."""
    a, b, c, d, e, f = (float(value) for value in warp)
    y, x = np.indices(shape[:2], dtype=np.float64)
    across, down = a * x + b * y + c, d * x + e * y + f
    is_whole = (a, b, d, e) == (1, 0, 0, 1) and c.is_integer() and f.is_integer()
    margin = 0 if is_whole else _MARGIN
    height, width = view.shape
    seen = (across >= margin) & (across <= width - 1 - margin) & (down >= margin) & (down <= height - 1 - margin)
    # Pillow counts from pixels' corners, half a pixel before their middles.
    data = (a, b, c + 0.5 - (a + b) / 2, d, e, f + 0.5 - (d + e) / 2)
    image = Image.fromarray(view).transform(
        (shape[1], shape[0]), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC
    )
    return np.asarray(image, np.float32), seen


def _refined(view: Plane, original: Plane, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gauss-Newton on the six numbers of an affine warp, with a gain and an offset for brightness."""
    warp, blur = start, max(original.shape) * _COARSEST
    while blur > _FINEST:
        smooth_view, smooth = _blurred(view, blur), _blurred(original, blur)
        for _ in range(_STEPS):
            step = _step(smooth_view, smooth, warp)
            warp = warp + step
            if np.abs(step[[2, 5]]).max() < _SETTLED:
                break
        blur /= 2
    bent = np.abs(warp - start)[[0, 1, 3, 4]].max()
    return warp if bent < _MOST_BENT else start


def _step(view: Plane, original: Plane, warp: NDArray[np.float64]) -> NDArray[np.float64]:
    plane, seen = _warped(view, warp, original.shape)
    if seen.sum() < _FEWEST:
        return np.zeros(6)
    y, x = np.nonzero(seen)
    gy, gx = np.gradient(plane, axis=0)[seen], np.gradient(plane, axis=1)[seen]
    system = np.stack([gx * x, gx * y, gx, gy * x, gy * y, gy, original[seen], np.ones(len(y))]).astype(np.float64)
    scale = np.maximum(np.linalg.norm(system, axis=1, keepdims=True), 1e-9)
    system /= scale
    solution = np.linalg.lstsq(system @ system.T, -system @ plane[seen].astype(np.float64), rcond=1e-9)[0]
    step: NDArray[np.float64] = solution[:6] / scale[:6, 0]
    return step
