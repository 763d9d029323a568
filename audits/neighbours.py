"""Exact nearest neighbours by blocked matrix products, plain and with registration.

Memory is bounded by the block. Squared distances as |q|^2 + |g|^2 - 2 q.g cancel badly in float32 when vectors are
long and close, so features are centred first and the winners' distances are computed again by direct difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from audits.pixels import Floats, Greys, resize

BLOCK_FLOATS = 1 << 22
REGISTRATION_SIZE = 32
REGISTRATION_SHIFT = 2

Rows = NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.uint16]


def nearest(queries: Rows, gallery: Rows, *, block_floats: int = BLOCK_FLOATS) -> tuple[NDArray[np.intp], Floats]:
    """Index [Q] and Euclidean distance [Q] of each query's nearest gallery row.

    queries: [Q, ...], gallery: [G, ...], float32, uint8 or uint16, in memory or mapped from a file; what follows the
    first axis is one row. Blocks alone are converted to float32: beside the arrays, memory holds some four blocks of
    `block_floats` and 24 bytes a query. Runs on a GPU where there is one. Rows as near as each other to seven digits
    are ties, of which either may be named; the distance is exact to float32. Raises ValueError for an empty gallery
    and for values that are not finite.
    """
    if not len(gallery):
        raise ValueError("empty gallery")
    most = max(1, block_floats // max(1, math.prod(gallery.shape[1:])))
    # Tall blocks: matrix products are fastest with few gallery rows at a time.
    n_queries, n_gallery = min(2 * most, 2 * math.isqrt(block_floats)), min(most, math.isqrt(block_floats) // 2 + 1)
    centre = _mean(gallery, n_gallery)
    index = np.empty(len(queries), dtype=np.intp)
    distance = np.empty(len(queries), dtype=np.float32)
    for start, stop in _spans(len(queries), n_queries):
        index[start:stop] = _best(queries[start:stop], gallery, centre, n_gallery)
    for start, stop in _spans(len(queries), n_gallery):
        apart = _flat(queries[start:stop]) - _flat(gallery[index[start:stop]])
        distance[start:stop] = np.linalg.norm(apart, axis=1)
    if not (np.isfinite(centre).all() and np.isfinite(distance).all()):
        raise ValueError("values that are not finite")
    return index, distance


def _best(queries: Rows, gallery: Rows, centre: Floats, n_gallery: int) -> NDArray[np.intp]:
    """Where q.g - |g|^2 / 2 is largest, which is where the distance is smallest."""
    import torch  # noqa: PLC0415 - only runs pay for it, not the listing of audits

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    asked = torch.from_numpy(_flat(queries) - centre).to(device)
    best = torch.full((len(queries),), -torch.inf, device=device)
    index = torch.zeros(len(queries), dtype=torch.long, device=device)
    for start, stop in _spans(len(gallery), n_gallery):
        held = torch.from_numpy(_flat(gallery[start:stop]) - centre).to(device)
        score, place = torch.addmm(held.square().sum(dim=1) / -2, asked, held.T).max(dim=1)
        nearer = ~(score <= best)  # true for what is no number too, so that it is found out
        best, index = torch.where(nearer, score, best), torch.where(nearer, place + start, index)
    return index.cpu().numpy()


def _mean(gallery: Rows, rows: int) -> Floats:
    total = sum(_flat(gallery[a:b]).sum(axis=0, dtype=np.float64) for a, b in _spans(len(gallery), rows))
    return np.asarray(total / len(gallery), dtype=np.float32)


def _flat(block: Rows) -> Floats:
    return np.asarray(block, dtype=np.float32).reshape(len(block), -1)


def squared_distances(queries: Floats, gallery: Floats) -> Floats:
    """[Q, G] squared Euclidean distances, centred first, never negative."""
    centre = gallery.mean(axis=0, dtype=np.float64).astype(np.float32)
    left, right = queries - centre, gallery - centre
    lengths = np.einsum("qd,qd->q", left, left)[:, None] + np.einsum("gd,gd->g", right, right)
    return np.asarray(np.maximum(lengths - 2 * (left @ right.T), 0), dtype=np.float32)


def registered_correlation(queries: Greys, gallery: Greys, *, block_floats: int = BLOCK_FLOATS) -> Floats:
    """Best normalised correlation [Q, G] over a left-right flip and small shifts of each query.

    queries, gallery: grey images [N, H, W]. Both are reduced to 32 px; the query's window slides by up to 2 px (a
    sixteenth of the width) under the gallery's fixed central window, so no border is invented. A constant image
    correlates 0 with everything.
    """
    best = np.empty((len(queries), len(gallery)), dtype=np.float32)
    for rows, columns, block in registered_blocks(queries, gallery, block_floats):
        best[rows, columns] = block
    return best


def nearest_registered(
    queries: Greys, gallery: Greys, *, block_floats: int = BLOCK_FLOATS
) -> tuple[Floats, NDArray[np.intp]]:
    """Each query's best `registered_correlation` [Q] and the gallery image that has it [Q]: the maximum of each row.

    The matrix is never held: beside the images, memory holds some nine blocks of `block_floats`. Images as like as each
    other to seven digits are ties, of which either may be named.
    """
    best, index = np.full(len(queries), -2, dtype=np.float32), np.zeros(len(queries), dtype=np.intp)
    for rows, columns, block in registered_blocks(queries, gallery, block_floats):
        keep_best(best[rows], index[rows], block, columns.start)
    return best, index


def nearest_query(
    queries: Greys, gallery: Greys, *, block_floats: int = BLOCK_FLOATS
) -> tuple[Floats, NDArray[np.intp]]:
    """Each gallery image's best correlation [G] and the query that has it [G]: the maximum of each column, likewise."""
    best, index = np.full(len(gallery), -2, dtype=np.float32), np.zeros(len(gallery), dtype=np.intp)
    for rows, columns, block in registered_blocks(queries, gallery, block_floats):
        keep_best(best[columns], index[columns], block.T, rows.start)
    return best, index


def keep_best(best: Floats, index: NDArray[np.intp], block: Floats, start: int) -> None:
    """Replace in place what a block [n, m] exceeds; start: the index of its first column."""
    place = block.argmax(axis=1)
    found = np.take_along_axis(block, place[:, None], axis=1)[:, 0]
    nearer = found > best
    best[nearer], index[nearer] = found[nearer], place[nearer] + start


def registered_blocks(queries: Greys, gallery: Greys, block_floats: int) -> Iterator[tuple[slice, slice, Floats]]:
    """Rows, columns and the block of the matrix of correlations that lies there, of at most `block_floats`."""
    inner = REGISTRATION_SIZE - 2 * REGISTRATION_SHIFT
    edge = slice(REGISTRATION_SHIFT, REGISTRATION_SHIFT + inner)
    n_gallery = max(1, math.isqrt(block_floats))
    for start, stop in _spans(len(queries), max(1, block_floats // n_gallery)):
        small = resize(queries[start:stop], REGISTRATION_SIZE)
        windows = [sliding_window_view(image, (inner, inner), axis=(1, 2)) for image in (small, small[:, :, ::-1])]
        for first, last in _spans(len(gallery), n_gallery):
            still = resize(gallery[first:last], REGISTRATION_SIZE)[:, edge, edge]
            fixed = _unit(still.reshape(len(still), -1)).T
            best = np.full((len(small), len(still)), -1.0, dtype=np.float32)
            for window in windows:
                for dy, dx in np.ndindex(window.shape[1:3]):
                    np.maximum(best, _unit(window[:, dy, dx].reshape(len(small), -1)) @ fixed, out=best)
            yield slice(start, stop), slice(first, last), best


def _spans(n: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, n)) for start in range(0, n, step)]


def _unit(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1e-4, centred / np.maximum(length, 1e-4), 0), dtype=np.float32)
