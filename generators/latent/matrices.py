"""Symmetric matrices that noise has bent: made positive again, and put together by blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generators.latent.basis import Array


def positive_part(matrix: Array, *, floor: float) -> Array:
    """The symmetric matrix with eigenvalues below `floor` raised to it."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)


def floored(matrix: Array, like: Array, *, floor: float) -> Array:
    """`positive_part` in units of the deviations that `like` [d, d] has: no combination of them varies less."""
    units = np.sqrt(np.outer(np.diag(like), np.diag(like)))
    return np.asarray(positive_part(matrix / units, floor=floor) * units)


def replaced(covariance: Array, block: Array, places: NDArray[np.intp]) -> Array:
    """The covariance [d, d] with another block [l, l] at these places, the rest by its regression on them."""
    rest = np.setdiff1d(np.arange(len(covariance)), places)
    before, across = covariance[np.ix_(places, places)], covariance[np.ix_(places, rest)]
    slopes = np.linalg.solve(before, across)
    whole = covariance.copy()
    whole[np.ix_(places, places)] = block
    whole[np.ix_(places, rest)] = block @ slopes
    whole[np.ix_(rest, places)] = (block @ slopes).T
    whole[np.ix_(rest, rest)] += slopes.T @ block @ slopes - across.T @ slopes
    return whole
