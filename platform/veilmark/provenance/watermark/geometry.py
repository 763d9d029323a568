"""Undoing what images go through: softening, small rotations, resizing. For planes [H, W] of float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PAD = 8
_REGULARISATION = 0.06  # Wiener constant: how much noise an inverse filter may raise


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


def resized(image: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Bicubic, averaged over the pixels that shrinking merges."""
    scaled = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(scaled, np.float32)


def rotated(image: NDArray[np.float32], degrees: float, *, rows: range, columns: range) -> NDArray[np.float32]:
    """Rotate about the centre, bicubic; 0 where nothing was. Only the part `rows`, `columns` of the result is made."""
    height, width = image.shape
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    y, x = rows.start - height / 2, columns.start - width / 2
    to_source = (cos, sin, cos * x + sin * y + width / 2, -sin, cos, -sin * x + cos * y + height / 2)
    size = (len(columns), len(rows))
    turned = Image.fromarray(image).transform(size, Image.Transform.AFFINE, to_source, Image.Resampling.BICUBIC)
    return np.asarray(turned, np.float32)
