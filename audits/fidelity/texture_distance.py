"""Local texture and grey levels: histograms of what each pixel is beside its neighbours, and of how bright it is."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput, Measurement
from audits.floor import of_images
from audits.pixels import Floats
from audits.registry import audit
from audits.stats import Doubles

RADII = (1, 2, 4)
AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
N_CODES = len(AROUND) + 2
# A neighbour counts as brighter from here on, in units of white: flat background must not turn into texture.
STEP = 0.01
N_LEVELS = 64
JUDGED = "equal n; interval by delete-fifth jackknife over subjects; baseline train against holdout"

_texture = partial(
    Measurement,
    name="texture_distance.local_patterns",
    unit="share of pixels",
    method=(
        f"total variation distance of histograms of uniform local binary patterns, mean over radii {RADII}, a "
        f"neighbour counting as brighter from {STEP:.0%} of white; {JUDGED}"
    ),
    source="Ojala, Pietikainen and Maenpaa 2002, IEEE TPAMI 24:971",
)
_levels = partial(
    Measurement,
    name="texture_distance.grey_levels",
    unit="share of white",
    method=f"Wasserstein distance of the histograms of all pixels in {N_LEVELS} levels; {JUDGED}",
    source="Rubner, Tomasi and Guibas 2000, IJCV 40:99",
)


@audit("texture_distance", question="Are local texture and grey levels those of real images?")
def texture_distance(data: AuditInput) -> list[Measurement]:
    """Distances of texture and of grey levels, synthetic against holdout, beside train against holdout."""
    return [
        of_images(data, _texture, local_patterns, pattern_distance),
        of_images(data, _levels, grey_levels, level_distance),
    ]


def local_patterns(grey: Floats) -> Doubles:
    """[N, radii x 10] shares of pixels by rotation-invariant uniform local binary pattern, radius by radius."""
    return np.concatenate([_shares(_codes(grey, radius), N_CODES) for radius in RADII], axis=1)


def pattern_distance(real: Doubles, other: Doubles) -> float:
    """The share of pixels that would have to change their pattern, mean over radii."""
    return float(np.abs(real.mean(axis=0) - other.mean(axis=0)).sum() / 2 / len(RADII))


def grey_levels(grey: Floats) -> Doubles:
    """[N, 64] shares of pixels by grey level."""
    return _shares(np.minimum((grey * N_LEVELS).astype(np.intp), N_LEVELS - 1), N_LEVELS)


def level_distance(real: Doubles, other: Doubles) -> float:
    """By how much of white the pixels' levels would have to move, on average."""
    return float(np.abs(np.cumsum(real.mean(axis=0) - other.mean(axis=0))).sum() / N_LEVELS)


def _codes(grey: Floats, radius: int) -> NDArray[np.intp]:
    """Of each inner pixel: how many of eight neighbours are brighter, or 9 where they are not all in one run."""
    moved = (_window(grey, radius, (1 + dy) * radius, (1 + dx) * radius) for dy, dx in AROUND)
    inner = _window(grey, radius, radius, radius) + STEP
    brighter = np.stack([neighbour > inner for neighbour in moved])
    runs = (brighter != np.roll(brighter, 1, axis=0)).sum(axis=0) <= 2
    return np.where(runs, brighter.sum(axis=0), N_CODES - 1)


def _window(grey: Floats, radius: int, top: int, left: int) -> Floats:
    """The images without `radius` pixels on every side, moved so that they begin at `top` and `left`."""
    height, width = grey.shape[1] - 2 * radius, grey.shape[2] - 2 * radius
    return grey[:, top : top + height, left : left + width]


def _shares(codes: NDArray[np.intp], n_codes: int) -> Doubles:
    """[N, n_codes]: the share of each code among the pixels of each image."""
    flat = codes.reshape(len(codes), -1)
    counts = np.bincount((flat + np.arange(len(flat))[:, None] * n_codes).ravel(), minlength=len(flat) * n_codes)
    return counts.reshape(len(flat), n_codes) / flat.shape[1]
