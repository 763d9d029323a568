"""Planted copies: what a leaking generator would give, made on purpose, so that an audit can state its own recall."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

from audits.pixels import Floats


def noisy(images: Floats, rng: np.random.Generator, *, scale: float = 0.05) -> Floats:
    """Gaussian noise of `scale` (in units of white), clipped to [0, 1]."""
    return np.clip(images + rng.normal(0, scale, images.shape), 0, 1).astype(np.float32)


def _exact(images: Floats, _rng: np.random.Generator) -> Floats:
    return images


def _blur(images: Floats, _rng: np.random.Generator) -> Floats:
    sigma = images.shape[2] / 64
    return np.asarray(ndimage.gaussian_filter(images, (0, sigma, sigma)), dtype=np.float32)


def _gamma(images: Floats, _rng: np.random.Generator) -> Floats:
    return np.asarray(images**1.4 * 0.8 + 0.1, dtype=np.float32)


def _flip(images: Floats, _rng: np.random.Generator) -> Floats:
    return np.ascontiguousarray(images[:, :, ::-1])


def _shift(images: Floats, _rng: np.random.Generator) -> Floats:
    step = max(1, images.shape[2] // 32)
    return np.asarray(ndimage.shift(images, (0, step, -step), order=1, mode="nearest"), dtype=np.float32)


TRANSFORMS: Mapping[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "exact": _exact,
    "noise": noisy,
    "blur": _blur,
    "gamma": _gamma,
    "flip": _flip,
    "shift": _shift,
}
