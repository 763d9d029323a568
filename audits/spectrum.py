"""Radial power spectra: blur takes power from fine detail and noise adds it, where histograms hardly change."""

from __future__ import annotations

import numpy as np

from audits.pixels import Floats
from audits.stats import Doubles

LIMIT = 0.9
BLOCK_FLOATS = 1 << 22


def radial_power(grey: Floats) -> Doubles:
    """[N, rings] mean power in rings one frequency of the shorter side wide, of images [N, H, W].

    Each image's mean is taken out first, and a Hann window keeps borders from leaking into every ring.
    """
    height, width = grey.shape[1:]
    window = (np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]).astype(np.float32)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]) * min(height, width)
    ring = np.rint(radius).astype(int).ravel()
    # Half of the plane is enough: its other columns mirror it, all but the first and, of an even width, the last.
    weight = np.full(radius.shape, 2.0)
    weight[:, 0] = 1
    if width % 2 == 0:
        weight[:, -1] = 1
    mean_of_ring = np.zeros((ring.size, ring.max() + 1))
    mean_of_ring[np.arange(ring.size), ring] = weight.ravel()
    mean_of_ring /= mean_of_ring.sum(axis=0)
    step = max(1, BLOCK_FLOATS // (height * width))
    blocks = [grey[start : start + step] for start in range(0, len(grey), step)]
    return np.concatenate([_power(block, window).reshape(len(block), -1) @ mean_of_ring for block in blocks])


def spectrum_deviation(real: Floats, synthetic: Floats) -> float:
    """Largest distance in dB of the mean spectra of two sets of grey images [N, H, W] up to .9 of Nyquist."""
    return largest_distance(radial_power(real), radial_power(synthetic), side=min(real.shape[1:]))


def largest_distance(real: Doubles, synthetic: Doubles, *, side: int) -> float:
    """The same of radial powers [N, rings] of images whose shorter side is `side`."""
    inside = slice(1, int(LIMIT * side / 2) + 1)
    ours, theirs = (part.mean(axis=0)[inside] + 1e-12 for part in (synthetic, real))
    return float(np.abs(10 * np.log10(ours / theirs)).max())


def _power(images: Floats, window: Floats) -> Doubles:
    centred = (images - images.mean(axis=(1, 2), keepdims=True)) * window
    return np.asarray(np.abs(np.fft.rfft2(centred)) ** 2, dtype=np.float64)
