"""What images look like on average, and nothing of whom they show: the numbers that `releases.spectrum` asks for.

A grey image [S, S] is described by

    rings     logarithms of its power in rings, at most 32 of them, and their squares: mean power follows from both
    zones     logarithms of the roughness of four bands in 8 x 8 zones, as cosines over bands and zones: those that a
              mirror leaves as they are, since thoraces differ from draws alike on both sides
    outside   what the basis cannot express, averaged over 16 x 16 squares, as coarse cosines

centred on public images, divided by declared deviations, and clipped together to a declared norm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter1d

from generators.detail.spectrum import radial_power
from generators.latent.basis import Array, Basis, clip_norms
from generators.latent.texture import FLOOR, N_ZONES, Pixels, zone_means

WIDTHS = (0.75, 1.5, 3.0, 6.0)  # of 64 pixels a side
N_SQUARES = 16
FINEST_OUTSIDE = 11  # half periods
MOST_RINGS = 32
# Declared, as public radiographs have them: the deviation of a logarithm of power, of the cosines that all bands share
# and of those that set them apart, and of pixels outside the basis. Rings count double: the eye sees them first.
RING_DEVIATION, RING_WEIGHT = 0.75, 2.0
BAND_DEVIATIONS = (5.0, 1.0, 0.5, 0.2)
OUTSIDE_DEVIATION = 0.05
N_EVEN = N_ZONES // 2
SCALES = (1.5, 4.5, 8.5)  # half periods
CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Rows taken apart: rings and squares [n, K] in deviations, zones [n, 4, 8, 8] as logarithms of roughness, outside
    [n, 16, 16] in units of pixels."""

    rings: Array
    squares: Array
    zones: Array
    outside: Array


@dataclass(frozen=True, kw_only=True)
class Look:
    """A way of describing images of one size. centre [k]: the public mean, before squares and clipping."""

    basis: Basis
    centre: Array

    @property
    def size(self) -> int:
        return math.isqrt(len(self.basis.mean))

    @property
    def radius(self) -> float:
        """The declared norm: about what a radiograph has whose parts deviate as declared."""
        n = n_rings(self.size)
        return float(np.sqrt(n * (RING_WEIGHT**2 + 1) + len(WIDTHS) * N_ZONES * N_EVEN + _coarse().sum() / 2))

    @property
    def blocks(self) -> NDArray[np.intp]:
        """[k]: entries with one number are of one kind and scale, and noise spares them or drowns them together."""
        n = n_rings(self.size)
        scales = [np.digitize(_frequencies(size), SCALES) for size in (N_ZONES, N_SQUARES)]
        zones = [4 * (2 + band) + scales[0][:, ::2].ravel() for band in range(len(WIDTHS))]
        outside = 4 * (2 + len(WIDTHS)) + scales[1][_coarse()]
        return np.concatenate([np.zeros(n, np.intp), np.ones(n, np.intp), *zones, outside])

    def describe(self, images: Pixels) -> Array:
        """[n, k] of images [n, S, S] in [0, 1], none longer than `radius`."""
        n = n_rings(self.size)
        rows = describe_raw(images, self.basis) - self.centre
        rings, rest = rows[:, :n], rows[:, n:]
        squares = (rings**2 - 1) / np.sqrt(2)
        return clip_norms(np.hstack([RING_WEIGHT * rings, squares, rest]), self.radius)

    def parts(self, rows: Array) -> Parts:
        """Rows [n, k], or one [k]."""
        n = n_rings(self.size)
        ends = np.cumsum([n, n, len(WIDTHS) * N_ZONES * N_EVEN])
        rings, squares, zones, outside = np.split(np.atleast_2d(rows), ends, axis=1)
        even = np.zeros((len(rings), len(WIDTHS), N_ZONES, N_ZONES))
        even[..., ::2] = zones.reshape(len(rings), len(WIDTHS), N_ZONES, N_EVEN) * _deviations()
        coarse = np.zeros((len(rings), N_SQUARES, N_SQUARES))
        coarse[:, _coarse()] = outside * OUTSIDE_DEVIATION
        return Parts(
            rings=rings / RING_WEIGHT,
            squares=squares,
            zones=idctn(even, axes=(1, 2, 3), norm="ortho"),
            outside=idctn(coarse, axes=(1, 2), norm="ortho"),
        )


def fit_look(public: Pixels, basis: Basis) -> Look:
    """Centred on public images [n, S, S]."""
    return Look(basis=basis, centre=describe_raw(public, basis).mean(axis=0))


def describe_raw(images: Pixels, basis: Basis) -> Array:
    """Rings, zones and outside of images [n, S, S], in declared deviations, neither centred nor clipped."""
    rows = []
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        flat = part.reshape(len(part), -1)
        centred = flat - basis.mean
        missing = centred - (centred @ basis.directions.T) @ basis.directions
        zones = dctn(log_zones(part), axes=(1, 2, 3), norm="ortho")[..., ::2] / _deviations()
        coarse = zone_means(np.asarray(missing, dtype=np.float32).reshape(part.shape), N_SQUARES)
        outside = dctn(coarse, axes=(1, 2), norm="ortho")[:, _coarse()] / OUTSIDE_DEVIATION
        parts = (log_rings(part) / RING_DEVIATION, zones, outside)
        rows.append(np.hstack([np.asarray(values).reshape(len(part), -1) for values in parts]))
    return np.concatenate(rows)


def n_rings(size: int) -> int:
    return min(MOST_RINGS, size // 2)


def knots(size: int) -> Array:
    """Which rings (1 to S/2) are looked at, evenly."""
    return np.linspace(1, size // 2, n_rings(size))


def log_rings(images: Pixels) -> Array:
    """Logarithms of power [n, K] of images [n, S, S] at the knots."""
    size = images.shape[1]
    floor = (3 / 8 * size * FLOOR) ** 2  # white noise of that deviation, under the window
    power = np.log(radial_power(images) + floor)
    places = knots(size) - 1
    low = np.floor(places).astype(np.intp)
    share = places - low
    return np.asarray((1 - share) * power[:, low] + share * power[:, np.minimum(low + 1, power.shape[1] - 1)])


def log_zones(images: Pixels) -> Array:
    """Logarithms of the root mean square [n, 4, 8, 8] of each band in each zone."""
    energies = np.stack([zone_means(band**2, N_ZONES) for band in bands(images)[0]], axis=1)
    return np.asarray(0.5 * np.log(energies.astype(np.float64) + FLOOR**2))


def bands(images: Pixels) -> tuple[list[Pixels], Pixels]:
    """Four bands, finest first, and what is left; together they are the image."""
    found, left = [], images
    for width in WIDTHS:
        blur = gaussian_filter1d(np.eye(images.shape[1], dtype=np.float32), width * images.shape[1] / 64, axis=0)
        blurred = np.asarray(blur @ left @ blur.T, dtype=np.float32)
        found.append(left - blurred)
        left = blurred
    return found, left


def _frequencies(n: int) -> Array:
    """[n, n]: of cosines, in half periods."""
    return np.asarray(np.hypot(*np.meshgrid(np.arange(n), np.arange(n), indexing="ij")))


def _coarse() -> NDArray[np.bool_]:
    """[16, 16]: the cosines that are kept of what lies outside the basis."""
    return np.asarray(_frequencies(N_SQUARES) < FINEST_OUTSIDE)


def _deviations() -> Array:
    """[4, 8, 4]: what all bands share falls as 1 / (1 + f) with the frequency f in half periods, the rest slower."""
    frequency = 1 + _frequencies(N_ZONES)[:, ::2]
    shared, *contrasts = BAND_DEVIATIONS
    return np.stack([shared / frequency, *(deviation / np.sqrt(frequency) for deviation in contrasts)])
