"""What images look like on average, and nothing of whom they show: the numbers that `releases.spectrum` asks for.

A grey image [S, S] is described by

    rings     logarithms of its power in rings, at most 32 of them, as cosines
    power     the power itself over the public images', clipped, since what is seen is its mean; coarse cosines
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
from scipy.fft import dct, dctn, idct, idctn
from scipy.ndimage import gaussian_filter1d

from generators.detail.spectrum import radial_power
from generators.latent.basis import Array, Basis, clip_norms
from generators.latent.texture import FLOOR, N_ZONES, Pixels, zone_means

WIDTHS = (0.75, 1.5, 3.0, 6.0)  # of 64 pixels a side
N_SQUARES = 16
FINEST_OUTSIDE = 11  # half periods
MOST_RINGS = 32
MOST_POWER = 5.0  # over that of public images
N_RING_COSINES, N_POWER_COSINES = 16, 8
# Declared, as public radiographs have them: the deviation of what all rings share and of the rest, of the cosines that
# all bands share and of those that set them apart, and of pixels outside the basis. Rings count double: few numbers
# say much. A radiograph whose parts deviate as declared has a norm of ROOM times less than what is clipped to.
RING_DEVIATIONS, RING_WEIGHT = (4.0, 0.6), 2.0
BAND_DEVIATIONS = (5.0, 1.0, 0.5, 0.2)
ROOM = 1.25
OUTSIDE_DEVIATION = 0.05
N_EVEN = N_ZONES // 2
SCALES = (1.5, 4.5, 8.5)  # half periods
PER_PART = 16
CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Rows taken apart: rings [n, K] in logarithms of power, power [n, K] over the public images', zones [n, 4, 8, 8]
    as logarithms of roughness, outside [n, 16, 16] in units of pixels."""

    rings: Array
    power: Array
    zones: Array
    outside: Array


@dataclass(frozen=True, kw_only=True)
class Look:
    """A way of describing images of one size. rings [K]: logarithms of power of public images, on average; centre [k]:
    what they are described by, on average, before it is clipped."""

    basis: Basis
    rings: Array
    centre: Array

    @property
    def size(self) -> int:
        return math.isqrt(len(self.basis.mean))

    @property
    def radius(self) -> float:
        """The declared norm."""
        rings, power, zones, outside = (int(np.sum(self.blocks // PER_PART == part)) for part in range(4))
        return ROOM * math.sqrt(rings * RING_WEIGHT**2 + power + zones + outside / 2)

    @property
    def blocks(self) -> NDArray[np.intp]:
        """[k]: entries with one number are of one kind and scale, and noise spares them or drowns them together.

        PER_PART numbers for each of rings, power, zones and outside.
        """
        scales = [np.digitize(_frequencies(size), SCALES) for size in (N_ZONES, N_SQUARES)]
        zones = [2 * PER_PART + 4 * band + scales[0][:, ::2].ravel() for band in range(len(WIDTHS))]
        outside = 3 * PER_PART + scales[1][_coarse()]
        n = n_rings(self.size)
        rings = np.repeat([0, PER_PART], [min(N_RING_COSINES, n), min(N_POWER_COSINES, n)])
        return np.concatenate([rings, *zones, outside])

    def describe(self, images: Pixels) -> Array:
        """[n, k] of images [n, S, S] in [0, 1], none longer than `radius`."""
        rows = _describe(images, self.basis, self.rings) - self.centre
        return clip_norms(rows, self.radius)

    def parts(self, rows: Array) -> Parts:
        """Rows [n, k], or one [k]; power is relative to its centre."""
        rows = np.atleast_2d(rows)
        rings, power, zones, outside = (rows[:, self.blocks // PER_PART == part] for part in range(4))
        even = np.zeros((len(rows), len(WIDTHS), N_ZONES, N_ZONES))
        even[..., ::2] = zones.reshape(len(rows), len(WIDTHS), N_ZONES, N_EVEN) * _deviations()
        coarse = np.zeros((len(rows), N_SQUARES, N_SQUARES))
        coarse[:, _coarse()] = outside * OUTSIDE_DEVIATION
        n = n_rings(self.size)
        return Parts(
            rings=_from_cosines(rings / RING_WEIGHT, n),
            power=_from_cosines(power, n),
            zones=idctn(even, axes=(1, 2, 3), norm="ortho"),
            outside=idctn(coarse, axes=(1, 2), norm="ortho"),
        )


def fit_look(public: Pixels, basis: Basis) -> Look:
    """Centred on public images [n, S, S]."""
    rings = log_rings(public).mean(axis=0)
    return Look(basis=basis, rings=rings, centre=_describe(public, basis, rings).mean(axis=0))


def _describe(images: Pixels, basis: Basis, rings: Array) -> Array:
    """What images [n, S, S] are described by, in declared deviations, neither centred nor clipped."""
    rows = []
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        centred = part.reshape(len(part), -1) - basis.mean
        missing = centred - (centred @ basis.directions.T) @ basis.directions
        zones = dctn(log_zones(part), axes=(1, 2, 3), norm="ortho")[..., ::2] / _deviations()
        coarse = zone_means(np.asarray(missing, dtype=np.float32).reshape(part.shape), N_SQUARES)
        outside = dctn(coarse, axes=(1, 2), norm="ortho")[:, _coarse()] / OUTSIDE_DEVIATION
        above = log_rings(part) - rings
        power = _cosines(np.minimum(np.exp(above), MOST_POWER), N_POWER_COSINES)
        parts = (RING_WEIGHT * _cosines(above, N_RING_COSINES), power, zones, outside)
        rows.append(np.hstack([np.asarray(values).reshape(len(part), -1) for values in parts]))
    return np.concatenate(rows)


def _cosines(values: Array, n: int) -> Array:
    """The n coarsest cosines [N, n] of rows [N, K], in declared deviations."""
    found = dct(values, axis=1, norm="ortho")[:, :n]
    return np.asarray(found / _ring_deviations(found.shape[1]))


def _from_cosines(cosines: Array, n_values: int) -> Array:
    """Rows [N, K] of what `_cosines` gave."""
    full = np.zeros((len(cosines), n_values))
    full[:, : cosines.shape[1]] = cosines * _ring_deviations(cosines.shape[1])
    return np.asarray(idct(full, axis=1, norm="ortho"))


def _ring_deviations(n: int) -> Array:
    shared, rest = RING_DEVIATIONS
    return np.where(np.arange(n) == 0, shared, rest)


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
