"""How rough an image is, where and at which scale: latents that tell findings which no low-rank image shows.

Two bands of fine detail (differences of Gaussians) are measured on a grid of 8 x 8 zones, as the logarithm of their
root mean square, and described by the leading discrete cosines over bands and zones. The way back multiplies the bands
of an image that has any detail, whoever drew it, until its zones are as rough as wanted (Heeger and Bergen 1995 matched
histograms of bands; here it is their energies, zone by zone).

Only grey images of at least 32 pixels a side have texture here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

N_ZONES = 8
N_BANDS = 2
SMALLEST_SIDE = 32
# Half a grey level of 255: roughness below it is rounding.
FLOOR = 2e-3
# Declared, not measured: the deviation of a cosine of frequency f (in half periods) between people is 4 / (1 + f) for
# what both bands share and 1.5 / (1 + f) for their contrast, in units of the orthonormal transform of logarithms.
SHARED_DEVIATION = 4.0
CONTRAST_DEVIATION = 1.5
# What the contrast of the bands loses in the order of the latents, in half periods.
CONTRAST_DELAY = 2.0
N_PASSES = 2
LARGEST_LOG_GAIN = 2.0
CHUNK = 512

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Texture:
    """mean [bands, zones, zones]: the public mean of log roughness; n_latents: how many cosines are kept."""

    mean: Array
    n_latents: int

    def encode(self, images: Pixels) -> Array:
        """Latents [n, k] of images [n, S, S] in [0, 1]; of unit deviation by the declared law."""
        cosines = dctn(log_roughness(images) - self.mean, axes=(1, 2, 3), norm="ortho").reshape(len(images), -1)
        order, deviation = _law()
        return np.asarray(cosines[:, order[: self.n_latents]] / deviation[: self.n_latents])

    def impose(self, images: Pixels, latents: Array) -> Pixels:
        """Images [n, S, S] whose bands have the roughness of the latents [n, k]; not clipped."""
        order, deviation = _law()
        cosines = np.zeros((len(latents), len(order)))
        cosines[:, order[: self.n_latents]] = latents * deviation[: self.n_latents]
        fields = cosines.reshape(-1, N_BANDS, N_ZONES, N_ZONES)
        wanted = idctn(fields, axes=(1, 2, 3), norm="ortho") + self.mean
        for _ in range(N_PASSES):
            images = _closer(images, wanted)
        return images


def has_texture(*, size: int, channels: int) -> bool:
    return channels == 1 and size >= SMALLEST_SIDE


def fit_texture(images: Pixels, *, n_latents: int) -> Texture:
    """The mean of public images [n, S, S]; deviations are declared, since public images can be smoother than real."""
    return Texture(mean=log_roughness(images).mean(axis=0), n_latents=min(n_latents, N_BANDS * N_ZONES**2))


def log_roughness(images: Pixels) -> Array:
    """[n, bands, zones, zones]: the logarithm of the root mean square of each band in each zone."""
    parts = [
        np.stack([zone_means(band**2, N_ZONES) for band in _bands(images[start : start + CHUNK])[0]], axis=1)
        for start in range(0, len(images), CHUNK)
    ]
    power: Array = np.concatenate(parts).astype(np.float64) if parts else np.zeros((0, N_BANDS, N_ZONES, N_ZONES))
    return np.asarray(0.5 * np.log(power + FLOOR**2))


def _closer(images: Pixels, wanted: Array) -> Pixels:
    """One pass: zones are not quite independent after blurring, so a second brings most of the rest."""
    changed = []
    for start in range(0, len(images), CHUNK):
        bands, rest = _bands(images[start : start + CHUNK])
        for number, band in enumerate(bands):
            now = 0.5 * np.log(zone_means(band**2, N_ZONES).astype(np.float64) + FLOOR**2)
            gain = np.clip(wanted[start : start + CHUNK, number] - now, -LARGEST_LOG_GAIN, LARGEST_LOG_GAIN)
            rest = rest + band * np.exp(smooth_fields(gain, images.shape[1]))
        changed.append(rest)
    return np.concatenate(changed) if changed else images


def _bands(images: Pixels) -> tuple[list[Pixels], Pixels]:
    """The bands, finest first, and what is left; together they are the image. Widths are of 64 pixels a side."""
    unit = max(images.shape[1] / 64, 0.5)
    bands, left = [], images
    for width in (unit, 2 * unit):
        blurred = gaussian_filter(images, (0, width, width), truncate=3.0)
        bands.append(left - blurred)
        left = blurred
    return bands, left


def zone_means(values: Pixels, n_zones: int) -> Pixels:
    """Means over zones [n, zones, zones] of [n, S, S]."""
    edges = np.linspace(0, values.shape[1], n_zones, endpoint=False).astype(np.intp)
    widths = np.diff(np.append(edges, values.shape[1])).astype(np.float32)
    sums = np.add.reduceat(np.add.reduceat(values, edges, axis=1), edges, axis=2)
    return np.asarray(sums / (widths[:, None] * widths))


def smooth_fields(fields: Array, size: int) -> Pixels:
    """Fields [n, zones, zones] as [n, S, S], linear between the centres of zones."""
    n_zones = fields.shape[1]
    place = np.clip((np.arange(size) + 0.5) * n_zones / size - 0.5, 0, n_zones - 1)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(n_zones))).astype(np.float32)
    return np.asarray(weights @ fields.astype(np.float32) @ weights.T)


def _law() -> tuple[NDArray[np.intp], Array]:
    """Positions of the cosines from coarse to fine, and the declared deviation of each."""
    frequency = np.hypot(*np.meshgrid(np.arange(N_ZONES), np.arange(N_ZONES), indexing="ij"))
    deviation = np.stack([SHARED_DEVIATION / (1 + frequency), CONTRAST_DEVIATION / (1 + frequency)])
    order = np.argsort(np.stack([frequency, frequency + CONTRAST_DELAY]).ravel(), kind="stable")
    return order, deviation.ravel()[order]
