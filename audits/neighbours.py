"""Exact nearest neighbours by blocked matrix products, plain and with registration.

Memory is bounded by the block. Squared distances as |q|^2 + |g|^2 - 2 q.g cancel badly in float32 when vectors are
long and close, so features are centred first and the winners' distances are computed again by direct difference.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from audits.pixels import Floats, resize

BLOCK_FLOATS = 1 << 24
REGISTRATION_SIZE = 32
REGISTRATION_SHIFT = 2


def nearest(queries: Floats, gallery: Floats, *, block_floats: int = BLOCK_FLOATS) -> tuple[NDArray[np.intp], Floats]:
    """Index [Q] and Euclidean distance [Q] of each query's nearest gallery row; ties go to the lowest index.

    queries: [Q, D], gallery: [G, D], finite. Raises ValueError for an empty gallery.
    """
    if not len(gallery):
        raise ValueError("empty gallery")
    centre = gallery.mean(axis=0, dtype=np.float64).astype(np.float32)
    moved = gallery - centre
    lengths = np.einsum("gd,gd->g", moved, moved)
    index = np.empty(len(queries), dtype=np.intp)
    for start, stop in _blocks(len(queries), len(gallery), block_floats):
        index[start:stop] = np.argmin(lengths - 2 * ((queries[start:stop] - centre) @ moved.T), axis=1)
    return index, np.linalg.norm(queries - gallery[index], axis=1).astype(np.float32)


def squared_distances(queries: Floats, gallery: Floats) -> Floats:
    """[Q, G] squared Euclidean distances, centred first, never negative."""
    centre = gallery.mean(axis=0, dtype=np.float64).astype(np.float32)
    left, right = queries - centre, gallery - centre
    lengths = np.einsum("qd,qd->q", left, left)[:, None] + np.einsum("gd,gd->g", right, right)
    return np.asarray(np.maximum(lengths - 2 * (left @ right.T), 0), dtype=np.float32)


def registered_correlation(queries: Floats, gallery: Floats, *, block_floats: int = BLOCK_FLOATS) -> Floats:
    """Best normalised correlation [Q, G] over a left-right flip and small shifts of each query.

    queries, gallery: grey images [N, H, W]. Both are reduced to 32 px; the query's window slides by up to 2 px (a
    sixteenth of the width) under the gallery's fixed central window, so no border is invented. A constant image
    correlates 0 with everything.
    """
    inner = REGISTRATION_SIZE - 2 * REGISTRATION_SHIFT
    edge = slice(REGISTRATION_SHIFT, REGISTRATION_SHIFT + inner)
    fixed = _unit(resize(gallery, REGISTRATION_SIZE)[:, edge, edge].reshape(len(gallery), -1))
    small = resize(queries, REGISTRATION_SIZE)
    best = np.full((len(queries), len(gallery)), -1.0, dtype=np.float32)
    for start, stop in _blocks(len(queries), len(gallery), block_floats):
        for image in (small[start:stop], small[start:stop, :, ::-1]):
            windows = sliding_window_view(image, (inner, inner), axis=(1, 2))
            for dy, dx in np.ndindex(windows.shape[1:3]):
                moved = _unit(windows[:, dy, dx].reshape(stop - start, -1))
                np.maximum(best[start:stop], moved @ fixed.T, out=best[start:stop])
    return best


def _blocks(n_queries: int, n_gallery: int, block_floats: int) -> list[tuple[int, int]]:
    step = max(1, block_floats // max(1, n_gallery))
    return [(start, min(start + step, n_queries)) for start in range(0, n_queries, step)]


def _unit(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1e-4, centred / np.maximum(length, 1e-4), 0), dtype=np.float32)
