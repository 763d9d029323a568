"""Ways to spoil an image as generators do, each at a random strength: what the trained network learns to name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from audits.pixels import Floats, resize

Flaw = Callable[[Floats, np.random.Generator], NDArray[np.floating]]


def _none(images: Floats, _rng: np.random.Generator) -> Floats:
    return images


def _blurred(images: Floats, rng: np.random.Generator) -> NDArray[np.floating]:
    return np.stack([ndimage.gaussian_filter(image, rng.uniform(0.3, 1.2)) for image in images])


def _noisy(images: Floats, rng: np.random.Generator) -> NDArray[np.floating]:
    scale = rng.uniform(0.005, 0.05, (len(images), 1, 1))
    return np.clip(images + rng.normal(0, 1, images.shape) * scale, 0, 1)


def _mixed(images: Floats, rng: np.random.Generator) -> NDArray[np.floating]:
    """Another image shines through."""
    share = rng.uniform(0.3, 0.5, (len(images), 1, 1))
    return (1 - share) * images + share * images[rng.permutation(len(images))]


def _bent(images: Floats, rng: np.random.Generator) -> NDArray[np.floating]:
    """Pulled by one to three pixels, smoothly over some four pixels."""
    height, width = images.shape[1:]
    moves = ndimage.gaussian_filter(rng.normal(0, 1, (len(images), 2, height, width)), (0, 0, 4, 4))
    moves *= rng.uniform(1, 3) / moves.std()
    places = np.mgrid[:height, :width] + moves
    bent = [
        ndimage.map_coordinates(image, place, order=1, mode="nearest")
        for image, place in zip(images, places, strict=True)
    ]
    return np.stack(bent)


def _patched(images: Floats, rng: np.random.Generator) -> Floats:
    """A quarter of another image stands in for its own."""
    half = images.shape[1] // 2
    top, left = rng.integers(0, half + 1, 2)
    patched, place = images.copy(), (slice(None), slice(top, top + half), slice(left, left + half))
    patched[place] = images[rng.permutation(len(images))][place]
    return patched


def _coarse(images: Floats, rng: np.random.Generator) -> Floats:
    side = images.shape[1]
    return resize(resize(images, int(rng.integers(side * 3 // 8, side * 7 // 8))), side)


FLAWS: Sequence[Flaw] = (_none, _blurred, _noisy, _mixed, _bent, _patched, _coarse)
