"""Pairs of queries and candidates, gone through candidate by candidate: what is made of a candidate is made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from audits.pixels import Floats, Greys, resize

Rows = NDArray[np.intp]
READ_BLOCK = 32


def by_candidate(
    candidates: Rows, gallery: Greys, prepare: Callable[[Floats], Floats]
) -> Iterator[tuple[Floats, Rows, Rows]]:
    """What `prepare` makes of each image that `candidates` [Q, k] names, and the rows and columns where it stands.

    Images of the gallery are read and prepared 32 at a time.
    """
    flat = candidates.ravel()
    order = np.argsort(flat, kind="stable")
    starts = np.flatnonzero(np.diff(flat[order], prepend=-1))
    named, places = flat[order[starts]], np.split(order, starts[1:])
    for first in range(0, len(named), READ_BLOCK):
        ready = prepare(gallery[named[first : first + READ_BLOCK]])
        for made, at in zip(ready, places[first : first + READ_BLOCK], strict=True):
            yield made, *np.divmod(at, candidates.shape[1])


@lru_cache(maxsize=16)
def smoothing(side: int, sigma: float) -> Floats:
    """[side, side]: `smoothing(...) @ image @ smoothing(...).T` is scipy's Gaussian filter of an image."""
    return np.asarray(ndimage.gaussian_filter1d(np.eye(side), sigma, axis=0), dtype=np.float32)


def smoothed(grey: Floats, side: int, sigma: float) -> Floats:
    """Images [N, H, W], resized to [N, side, side] and smoothed."""
    weights = smoothing(side, sigma)
    return np.asarray(weights @ resize(grey, side) @ weights.T, dtype=np.float32)


def standard(patches: Floats) -> Floats:
    """Patches [..., d] without their brightness and contrast, of unit length."""
    return unit(patches - patches.mean(axis=-1, keepdims=True))


def unit(rows: Floats) -> Floats:
    """Rows [..., d] of unit length; those that hold next to nothing become zero."""
    length = np.sqrt(np.einsum("...d,...d->...", rows, rows))
    scale = np.where(length > 1e-3, 1 / np.maximum(length, 1e-3), 0).astype(np.float32)
    return np.asarray(rows * scale[..., None], dtype=np.float32)


def whitening(moments: Floats, n: int, n_components: int) -> Floats:
    """[d, n_components]: from patches [n, d] to components of equal strength, about zero, not about their mean.

    moments: [d, d], the second moments of `standard` patches in sum. The components are blind to brightness, so they
    can be taken of any patch: made of unit length, they are those of its standard form.
    """
    moments, axes = np.linalg.eigh(moments / n)
    kept = min(n_components, max(2, n // 2))
    strength = np.sqrt(np.maximum(moments[::-1][:kept], 1e-9))
    weights = axes[:, ::-1][:, :kept] / strength
    return np.asarray(weights - weights.mean(axis=0), dtype=np.float32)
