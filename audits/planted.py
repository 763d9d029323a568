"""Planted copies: what a leaking generator would give, made on purpose, so that an audit can state its own recall.

Each transform takes grey images [N, H, W] in [0, 1] and a generator, and gives their copies. Strengths are those at
which single detectors fail in published attacks; lengths are shares of the width, so that they hold at any size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from audits.copies.warps import Warp, warped
from audits.pixels import Floats, GreyView
from audits.stats import rows_by_subject
from generators.data import ImageSet

Transform = Callable[[Floats, np.random.Generator], Floats]
N_AT_ONCE = 1024


def noisy(images: Floats, rng: np.random.Generator, *, scale: float = 0.05) -> Floats:
    """Gaussian noise of `scale` (in units of white), clipped to [0, 1]."""
    return np.clip(images + rng.normal(0, scale, images.shape), 0, 1).astype(np.float32)


def stored_noisy(images: ImageSet, rng: np.random.Generator, *, white: int) -> ImageSet:
    """The images in grey with a little noise, stored as they are, block by block."""
    view, stored = GreyView(sets=(images,), white=white), np.empty(images.images.shape[:3], dtype=images.images.dtype)
    for start in range(0, len(images), N_AT_ONCE):
        block = slice(start, start + N_AT_ONCE)
        stored[block] = np.rint(noisy(view[block], rng) * white)
    return ImageSet(images=stored, bits=images.bits)


def elastic(images: Floats, rng: np.random.Generator, *, strength: float = 1 / 64, softness: float = 1 / 8) -> Floats:
    """Smooth random displacements, after Simard et al. 2003. Shares of the width: `strength` is their root mean square
    along each axis, about their mean; `softness` the sigma of the Gaussian that makes them smooth."""
    width = images.shape[2]
    sigma = width * softness
    field = ndimage.gaussian_filter(rng.standard_normal((2, *images.shape)), (0, 0, sigma, sigma))
    field *= strength / field.std(axis=(2, 3), keepdims=True)
    return warped(images, Warp(n=len(images)), bend=np.asarray(field, dtype=np.float32))


def other_visits(subjects: NDArray[np.str_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the first image of each subject who has several, and of their second: a true pair, nothing planted."""
    several = [rows for rows in rows_by_subject(subjects) if len(rows) > 1]
    first, second = (np.array([rows[i] for rows in several], dtype=np.intp) for i in (0, 1))
    return first, second


def _exact(images: Floats, _rng: np.random.Generator) -> Floats:
    return images


def _more_noise(images: Floats, rng: np.random.Generator) -> Floats:
    return noisy(images, rng, scale=0.10)


def _blur(images: Floats, _rng: np.random.Generator) -> Floats:
    sigma = images.shape[2] / 32
    return np.asarray(ndimage.gaussian_filter(images, (0, sigma, sigma)), dtype=np.float32)


def _gamma(images: Floats, _rng: np.random.Generator) -> Floats:
    return np.asarray(images**1.4 * 0.8 + 0.1, dtype=np.float32)


def _invert(images: Floats, _rng: np.random.Generator) -> Floats:
    return np.asarray(1 - images, dtype=np.float32)


def _flip(images: Floats, _rng: np.random.Generator) -> Floats:
    return np.ascontiguousarray(images[:, :, ::-1])


def _shift(images: Floats, rng: np.random.Generator) -> Floats:
    n = len(images)
    return warped(images, Warp(n=n, shift_x=_either(rng, n) / 16, shift_y=_either(rng, n) / 16))


def _rotate(images: Floats, rng: np.random.Generator) -> Floats:
    return warped(images, Warp(n=len(images), angle=8 * _either(rng, len(images))))


def _scale(images: Floats, rng: np.random.Generator) -> Floats:
    return warped(images, Warp(n=len(images), zoom=1.12 ** _either(rng, len(images))))


def _crop(images: Floats, rng: np.random.Generator) -> Floats:
    """A square of 80 % of the side, anywhere in the image, enlarged to the whole."""
    n = len(images)
    place = rng.uniform(-0.1, 0.1, (2, n))
    return warped(images, Warp(n=n, zoom=1.25, shift_x=place[0] * 1.25, shift_y=place[1] * 1.25))


def _combination(images: Floats, rng: np.random.Generator) -> Floats:
    turned = warped(images, Warp(n=len(images), angle=5 * _either(rng, len(images)), flip=True))
    return noisy(np.asarray(turned**1.3 * 0.9, dtype=np.float32), rng)


def _mix(images: Floats, _rng: np.random.Generator) -> Floats:
    return np.asarray(0.7 * images + 0.3 * np.roll(images, 1, axis=0), dtype=np.float32)


def _either(rng: np.random.Generator, n: int) -> Floats:
    """[n]: 1 or -1."""
    return np.where(rng.random(n) < 0.5, -1, 1).astype(np.float32)


TRANSFORMS: Mapping[str, Transform] = {
    "exact": _exact,
    "noise .05": noisy,
    "noise .10": _more_noise,
    "blur": _blur,
    "gamma": _gamma,
    "invert": _invert,
    "shift": _shift,
    "rotate": _rotate,
    "scale": _scale,
    "flip": _flip,
    "crop": _crop,
    "elastic": elastic,
    "combination": _combination,
    "mix": _mix,
}
# Those that leave an image upright and at its scale.
UPRIGHT: Sequence[str] = ("exact", "noise .05", "blur", "gamma", "flip", "shift")
