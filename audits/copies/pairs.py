"""Pairs of queries and candidates, gone through candidate by candidate: what is made of a candidate is made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from audits.pixels import Floats, Greys

Rows = NDArray[np.intp]
READ_BLOCK = 4096


def by_candidate(
    candidates: Rows, gallery: Greys, prepare: Callable[[Floats], Floats]
) -> Iterator[tuple[Floats, Rows, Rows]]:
    """Each gallery image that `candidates` [Q, k] names, prepared, [1, ...], with the rows and columns where it stands.

    Images are read and prepared 4,096 at a time.
    """
    flat = candidates.ravel()
    order = np.argsort(flat, kind="stable")
    starts = np.flatnonzero(np.diff(flat[order], prepend=-1))
    named, places = flat[order[starts]], np.split(order, starts[1:])
    for first in range(0, len(named), READ_BLOCK):
        ready = prepare(gallery[named[first : first + READ_BLOCK]])
        for i, at in enumerate(places[first : first + READ_BLOCK]):
            yield ready[i : i + 1], *np.divmod(at, candidates.shape[1])


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

    moments: [d, d], the patches' second moments in sum.
    """
    moments, axes = np.linalg.eigh(moments / n)
    kept = min(n_components, max(2, n // 2))
    strength = np.sqrt(np.maximum(moments[::-1][:kept], 1e-9))
    return np.asarray(axes[:, ::-1][:, :kept] / strength, dtype=np.float32)
