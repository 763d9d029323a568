"""Exact nearest neighbours by blocked matrix products, plain and with registration. Memory is bounded by the block."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from audits.blocks import Rows, spans
from audits.pixels import Floats, Greys, resize

BLOCK_FLOATS = 1 << 22
REGISTRATION_SIZE = 32
REGISTRATION_SHIFT = 2
LEAST_CONTRAST = 1e-4


def nearest(queries: Rows, gallery: Rows, *, block_floats: int = BLOCK_FLOATS) -> tuple[NDArray[np.intp], Floats]:
    """Index [Q] and Euclidean distance [Q] of each query's nearest gallery row.

    queries: [Q, ...], gallery: [G, ...], float32, uint8 or uint16, in memory or mapped from a file; what follows the
    first axis is one row. Blocks alone are converted to float32: beside the arrays, memory holds some four blocks of
    `block_floats` and 24 bytes a query. Runs on a GPU where there is one. Rows as near as each other to seven digits
    are ties, of which either may be named; the distance is exact to float32. Raises ValueError for an empty gallery
    and for values that are not finite.
    """
    # Only runs pay for torch, not the listing of audits.
    from audits.exact_search import Frame, best_of  # noqa: PLC0415

    if not len(gallery):
        raise ValueError("empty gallery")
    most = max(1, block_floats // max(1, math.prod(gallery.shape[1:])))
    # Tall blocks: matrix products are fastest with few gallery rows at a time.
    n_queries, n_gallery = min(2 * most, 2 * math.isqrt(block_floats)), min(most, math.isqrt(block_floats) // 2)
    frame = Frame.of(queries, gallery, max(1, n_gallery))
    index, distance = np.empty(len(queries), dtype=np.intp), np.empty(len(queries), dtype=np.float32)
    for start, stop in spans(len(queries), n_queries):
        index[start:stop], distance[start:stop] = best_of(queries[start:stop], gallery, frame, max(1, n_gallery))
    return index, distance


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
    for start, stop in spans(len(queries), max(1, block_floats // n_gallery)):
        small = resize(queries[start:stop], REGISTRATION_SIZE)
        windows = sliding_window_view(small, (inner, inner), axis=(1, 2))
        for first, last in spans(len(gallery), n_gallery):
            fixed = _folded(resize(gallery[first:last], REGISTRATION_SIZE)[:, edge, edge])
            best = np.full((len(small), last - first), -1.0, dtype=np.float32)
            even, odd = np.empty_like(best), np.empty_like(best)
            for dy, dx in np.ndindex(windows.shape[1:3]):
                for moved, still, out in zip(_folded(windows[:, dy, dx]), fixed, (even, odd), strict=True):
                    np.matmul(moved, still.T, out=out)
                even += np.abs(odd, out=odd)  # the window's correlation is even + odd, its mirror image's even - odd
                np.maximum(best, even, out=best)
            yield slice(start, stop), slice(first, last), best


def _folded(images: Floats) -> tuple[Floats, Floats]:
    """Images of even width, less their mean, of length 1: the part that a left-right flip keeps, the part it negates.

    Both [N, H * W / 2]: two images correlate by the sum of the products of their parts, which is half the work of an
    image and its mirror image one after the other. A constant image becomes zeros.
    """
    half = images.shape[2] // 2
    left, right = images[:, :, :half], images[:, :, : half - 1 : -1]
    even, odd = (left + right).reshape(len(images), -1), (left - right).reshape(len(images), -1)
    even -= even.mean(axis=1, keepdims=True)
    length = np.hypot(*(np.linalg.norm(part, axis=1, keepdims=True) for part in (even, odd)))
    scale = (length > LEAST_CONTRAST) / np.maximum(length, LEAST_CONTRAST)
    even *= scale
    odd *= scale
    return even, odd
