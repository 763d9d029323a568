"""Undoing what images go through: softening, small rotations. Plain numpy, for planes [H, W]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PAD = 8
_REGULARISATION = 0.02  # Wiener constant: how much noise an inverse filter may raise


@dataclass(frozen=True, kw_only=True)
class Softening:
    """A suspected loss of sharpness: a Gaussian of `blur` px, or shrinking by `shrink` and enlarging back."""

    blur: float = 0.0
    shrink: float = 1.0


def sharpened(image: NDArray[np.float32], softening: Softening) -> NDArray[np.float32]:
    """Regularised inverse of a softening."""
    padded = np.pad(image, _PAD, mode="reflect")
    fy, fx = np.fft.fftfreq(padded.shape[0]), np.fft.rfftfreq(padded.shape[1])
    response = np.outer(_response(fy, softening), _response(fx, softening))
    spectrum = np.fft.rfft2(padded) * response / (response**2 + _REGULARISATION)
    restored = np.fft.irfft2(spectrum, s=padded.shape)[_PAD:-_PAD, _PAD:-_PAD]
    return restored.astype(np.float32)


def _response(frequency: NDArray[np.floating], softening: Softening) -> NDArray[np.floating]:
    """Along one axis. Both losses are products of the two axes."""
    response: NDArray[np.floating] = np.exp(-2 * (np.pi * softening.blur * frequency) ** 2)
    if softening.shrink < 1:
        # Area average over 1/shrink pixels, then a cubic kernel (a = -0.75) of the same width, kept off zero.
        area = np.sinc(frequency / softening.shrink)
        cubic = area**2 * (3 * area**2 - 2 * np.cos(np.pi * frequency / softening.shrink) * area)
        response = response * area * np.clip(cubic, 0.05, 1.2)
    return response


def rotated(image: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """Rotate about the centre by cubic convolution (R. G. Keys, 1981, a = -0.5), borders repeated."""
    height, width = image.shape
    angle = np.deg2rad(degrees)
    y, x = np.indices((height, width), dtype=np.float32)
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    source_y = np.cos(angle) * y - np.sin(angle) * x + (height - 1) / 2
    source_x = np.sin(angle) * y + np.cos(angle) * x + (width - 1) / 2
    y0, x0 = np.floor(source_y).astype(np.intp), np.floor(source_x).astype(np.intp)
    weights_y, weights_x = _keys_weights(source_y - y0), _keys_weights(source_x - x0)
    columns = [np.clip(x0 + i - 1, 0, width - 1) for i in range(4)]
    result = np.zeros((height, width), np.float32)
    for i in range(4):
        row = np.clip(y0 + i - 1, 0, height - 1) * width
        result += weights_y[i] * sum(weights_x[j] * image.take(row + columns[j]) for j in range(4))
    return result


def _keys_weights(fraction: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    t = fraction.astype(np.float32)
    return [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
