"""Pairs of queries and candidates, gone through candidate by candidate: what is made of a candidate is made once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from audits.pixels import Floats

Rows = NDArray[np.intp]
QUERY_BLOCK = 8192


def by_candidate(candidates: Rows) -> Iterator[tuple[int, Rows, Rows]]:
    """Each gallery row that `candidates` [Q, k] names, with the rows and columns at which it stands."""
    flat = candidates.ravel()
    order = np.argsort(flat, kind="stable")
    starts = np.flatnonzero(np.diff(flat[order], prepend=-1))
    for at in np.split(order, starts[1:]):
        row, column = np.divmod(at, candidates.shape[1])
        yield int(flat[at[0]]), row, column


def query_blocks(n: int) -> Iterator[slice]:
    """Slices of at most 8,192 queries: they bound the memory that templates take (170 MB of registration)."""
    for start in range(0, n, QUERY_BLOCK):
        yield slice(start, min(start + QUERY_BLOCK, n))


def standard(patches: Floats) -> Floats:
    """Patches [..., d] without their brightness and contrast, of unit length."""
    return unit(patches - patches.mean(axis=-1, keepdims=True))


def unit(rows: Floats) -> Floats:
    """Rows [..., d] of unit length; those that hold next to nothing become zero."""
    length = np.sqrt(np.einsum("...d,...d->...", rows, rows))
    scale = np.where(length > 1e-3, 1 / np.maximum(length, 1e-3), 0).astype(np.float32)
    return np.asarray(rows * scale[..., None], dtype=np.float32)


def whitening(patches: Floats, n_components: int) -> Floats:
    """[d, n_components]: from patches [n, d] to components of equal strength, about zero, not about their mean."""
    moments, axes = np.linalg.eigh(patches.T @ patches / len(patches))
    kept = min(n_components, max(2, len(patches) // 2))
    strength = np.sqrt(np.maximum(moments[::-1][:kept], 1e-9))
    return np.asarray(axes[:, ::-1][:, :kept] / strength, dtype=np.float32)
