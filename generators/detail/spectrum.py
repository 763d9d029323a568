"""Radial power spectra, and the gains that bring drawn detail to the public images' power, ring by ring.

Only public images and outputs of a charged release enter. The private images' own spectrum is never read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generators.latent.basis import Array

LEAST_GAIN, MOST_GAIN = 0.4, 1.6
N_COARSE = 3  # rings in which detail is never raised: blotches would fill what coarse anatomy lacks
CHUNK = 256  # images at once: memory
Images = NDArray[np.float32]


def radial_power(images: Images) -> Array:
    """Mean power [n, S/2] of images [n, S, S] in rings 1 to S/2 cycles a side, under a Hann window."""
    parts = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    return np.concatenate([_rings(_windowed_power(part), images.shape[1]) for part in parts])


def detail_gains(kept: Images, detail: Images, target: Array) -> Array:
    """Gains [S/2] of the rings for which kept + gain x detail has `target` power on average, within limits.

    kept, detail: [n, S, S]. target: [S/2], from public images. Solves the quadratic that the cross power makes.
    """
    own, added = radial_power(kept).mean(0), radial_power(detail).mean(0)
    both = radial_power(kept + detail).mean(0)
    cross = (both - own - added) / 2
    root = np.sqrt(np.maximum(cross**2 + added * np.maximum(target - own, 0.0), 0.0))
    gains = (root - cross) / np.maximum(added, 1e-12)
    most = np.where(np.arange(len(gains)) < N_COARSE, 1.0, MOST_GAIN)
    return np.asarray(np.clip(gains, LEAST_GAIN, most))


def apply_gains(images: Images, gains: Array) -> Images:
    """Images [n, S, S] with each ring of their spectrum multiplied by its gain; borders reflected, not wrapped.

    gains: [S/2] for all, or [n, S/2]. Means stay but for what is reflected.
    """
    side = images.shape[1]
    margin = side // 4
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin)), mode="reflect")
    full = padded.shape[1]
    radius = np.hypot(np.fft.fftfreq(full)[:, None], np.fft.rfftfreq(full)[None, :]) * side
    place = np.clip(radius, 1, side // 2) - 1
    low = np.minimum(place.astype(np.intp), side // 2 - 2)
    gain = gains[..., low] + (place - low) * (gains[..., low + 1] - gains[..., low])
    changed = np.fft.irfft2(np.fft.rfft2(padded) * gain, s=(full, full))
    return np.asarray(changed[:, margin:-margin, margin:-margin], dtype=np.float32)


def sharpness(images: Images) -> Array:
    """Decibels [n] by which the rings above half Nyquist lie below those of an eighth to half Nyquist, negated."""
    power = radial_power(images)
    n = power.shape[1]
    high, middle = power[:, n // 2 :].mean(1), power[:, n // 8 : n // 2].mean(1)
    return np.asarray(10 * np.log10(np.maximum(high, 1e-12) / np.maximum(middle, 1e-12)))


def _windowed_power(images: Images) -> Array:
    window = np.hanning(images.shape[1] + 2)[1:-1]
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    return np.asarray(np.abs(np.fft.rfft2(centred * window[:, None] * window)) ** 2, dtype=np.float64)


def _rings(power: Array, side: int) -> Array:
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]) * side
    ring = np.rint(radius).astype(np.intp)
    weight = np.where((np.arange(power.shape[2]) % (side / 2)) == 0, 1.0, 2.0)  # rfft2 keeps one of each mirrored pair
    weights = np.broadcast_to(weight, ring.shape)
    return np.stack(
        [
            (power * weights)[:, ring == k].sum(1) / np.maximum(weights[ring == k].sum(), 1e-12)
            for k in range(1, side // 2 + 1)
        ],
        axis=1,
    )
