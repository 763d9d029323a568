"""What a leaked image holds beyond its released original: the place where recipients' layers show.

Whatever happened to brightness and sharpness is estimated from the two images and done to the original too. None of
this looks at a recipient's signs, so that the bound on false accusations holds whatever the residual is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.watermark.pattern import BLOCK
from veilmark.provenance.watermark.plane import to_blocks

Plane = NDArray[np.float32]
_N_TONES = 16
_N_BANDS = 12
_FEWEST = 256  # pixels of the original that a leak must show
_MOST = 3.0  # of a direction's own spread: single blocks (an edge that moved) must not outweigh all others


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """`along` [blocks, directions]: the residual along each of the layer's directions, weighted by what it tells; its
    norm is 1, or 0 where nothing can be told. `misfit`: mean square of what the original does not explain."""

    along: NDArray[np.float64]
    misfit: float


def evidence_in(leak: Plane, seen: NDArray[np.bool_], *, original: Plane, basis: NDArray[np.float32]) -> Evidence:
    """leak, original: planes [H, W] on one grid; seen: where the leak has pixels; basis [64, D]."""
    if seen.sum() < _FEWEST:
        blocks = (original.shape[0] // BLOCK) * (original.shape[1] // BLOCK)
        return Evidence(along=np.zeros((blocks, basis.shape[1])), misfit=np.inf)
    mask = seen.astype(np.float32)
    predicted, slope = _toned(leak, original, seen)
    response = _response(leak * mask, predicted * mask)
    residual = (leak - _filtered(predicted * mask, response)) * mask
    matched = _filtered(residual, response) * slope * mask
    found = (to_blocks(matched[None].astype(np.float32)).reshape(-1, BLOCK**2) @ basis).astype(np.float64)
    misfit = float((residual**2).sum() / seen.sum())
    return Evidence(along=_weighted(found, _gains(response, basis, leak.shape)), misfit=misfit)


def _weighted(found: NDArray[np.float64], gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each direction by its signal over its noise, outliers cut, the whole of norm 1."""
    spread = np.sqrt((found**2).mean(axis=0))
    spread = np.where(spread > 0, spread, 1)
    weighted = np.clip(found / spread, -_MOST, _MOST) * gains**2 / spread
    norm = np.linalg.norm(weighted)
    return weighted / norm if norm > 0 else np.zeros_like(found)


def _toned(leak: Plane, original: Plane, seen: NDArray[np.bool_]) -> tuple[Plane, Plane]:
    """The original with the leak's brightness curve (a mean for each tone, straight between), and the curve's slope."""
    tones = np.unique(np.quantile(original[seen], np.linspace(0, 1, _N_TONES + 1)))
    tone = np.searchsorted(tones[1:-1], original[seen], side="right")
    n = np.bincount(tone)
    x = np.bincount(tone, original[seen])[n > 0] / n[n > 0]
    y = np.maximum.accumulate(np.bincount(tone, leak[seen])[n > 0] / n[n > 0])
    if len(x) < 2:
        return np.full_like(original, y[0]), np.zeros_like(original)
    slopes = np.diff(y) / np.diff(x)
    place = np.clip(np.searchsorted(x, original) - 1, 0, len(slopes) - 1)
    curve = y[place] + slopes[place] * (original - x[place])  # the outer pieces go on: the ends are not bent
    return curve.astype(np.float32), slopes[place].astype(np.float32)


def _response(leak: Plane, predicted: Plane) -> Plane:
    """How much of each spatial frequency is left: real, one number for a ring of frequencies, [H, W // 2 + 1]."""
    ours, theirs = np.fft.rfft2(predicted - predicted.mean()), np.fft.rfft2(leak - leak.mean())
    fy, fx = np.fft.fftfreq(leak.shape[0]), np.fft.rfftfreq(leak.shape[1])
    radius = np.hypot(fy[:, None], fx[None]) / np.sqrt(0.5)
    ring = np.minimum((radius * _N_BANDS).astype(np.intp), _N_BANDS - 1).ravel()
    power = np.bincount(ring, (np.abs(ours) ** 2).ravel(), minlength=_N_BANDS)
    cross = np.bincount(ring, (theirs * np.conj(ours)).real.ravel(), minlength=_N_BANDS)
    gains = np.clip(cross / np.maximum(power, 1e-9), 0, 1.5)
    middles = (np.arange(_N_BANDS) + 0.5) / _N_BANDS
    response: Plane = np.interp(radius, middles, gains).astype(np.float32)
    return response


def _filtered(plane: Plane, response: Plane) -> Plane:
    return np.fft.irfft2(np.fft.rfft2(plane) * response, s=plane.shape).astype(np.float32)


def _gains(response: Plane, basis: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """What the response leaves of each direction of the layer."""
    single = np.zeros((basis.shape[1], *shape), np.float32)
    single[:, :BLOCK, :BLOCK] = basis.T.reshape(-1, BLOCK, BLOCK)
    left = np.abs(np.fft.rfft2(single)) ** 2
    gains: NDArray[np.float64] = np.sqrt((left * response**2).sum(axis=(1, 2)) / left.sum(axis=(1, 2)))
    return gains
