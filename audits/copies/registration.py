"""Is this image a moved, turned, enlarged or inverted copy of that one? The best correlation over all such movements.

Bilinear interpolation is linear in the pixels, so one sparse matrix gives every turned template of an image at once;
each template then slides under the other image. Correlations are taken after whitening: what all images of a kind
share (of chests: nearly everything) counts as little as what few of them have, so strangers correlate near 0.5 where
plain correlation gives 0.9. Second moments are whitened about zero, hence an inverted copy has correlation -1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import sparse

from audits.copies.pairs import Rows, by_candidate, smoothed, standard, unit, whitening
from audits.copies.warps import Warp, movement_matrix
from audits.pixels import Floats, Greys

SIDE = 32
WINDOW = 24
SMOOTHING = 1.0  # pixels: noise goes, and a blurred copy keeps what is compared
ANGLES = (-8.0, -4.0, 0.0, 4.0, 8.0)
ZOOMS = (1 / 1.25, 1 / 1.12, 1.0, 1.12)
N_MOVEMENTS = 2 * len(ANGLES) * len(ZOOMS)
N_COMPONENTS = 128
CHUNK = 256  # images whose templates are held pixel by pixel, 90 kB each
AT_ONCE = 32  # pairs whose correlations are held, 13 kB each: they stay in the processor's cache
N_DRAWS = 6  # windows and templates of each image that teach the whitening


@dataclass(frozen=True, kw_only=True)
class Registration:
    """basis: [576, n_components], from a window's pixels to components of equal strength."""

    basis: Floats

    def correlation(self, queries: Floats, gallery: Greys, candidates: Rows) -> Floats:
        """Best absolute correlation [Q, k] of each query with its candidates, rows of the gallery.

        queries, gallery: grey [N, H, W]; 20 kB a query are held. A constant image correlates 0 with everything.
        """
        best, templates = np.zeros(candidates.shape, dtype=np.float32), self._moved(queries)
        for windows, row, column in by_candidate(candidates, gallery, self._windows):
            for start in range(0, len(row), AT_ONCE):
                some = slice(start, start + AT_ONCE)
                likeness = templates[row[some]].reshape(-1, windows.shape[1]) @ windows.T
                highest = np.abs(likeness, out=likeness).reshape(len(row[some]), -1).max(axis=1)
                best[row[some], column[some]] = highest
        return best

    def _windows(self, grey: Floats) -> Floats:
        """[N, 81, n_components]: every window of each image."""
        return unit(_windows(_smoothed(grey)) @ self.basis)

    def _moved(self, grey: Floats) -> Floats:
        """[N, 40, n_components]: the middle of each image after every movement, in one product."""
        parts = [part.T @ self.basis for part in _each_movement()]
        flat = _smoothed(grey).reshape(len(grey), -1)
        return unit((flat @ np.concatenate(parts, axis=1)).reshape(len(grey), N_MOVEMENTS, -1))


def learn_registration(grey: Floats, *, seed: int) -> Registration:
    """The whitening of windows and templates of these images, drawn at random."""
    rng = np.random.default_rng(seed)
    small = _smoothed(grey)
    chunks = [small[start : start + CHUNK] for start in range(0, len(small), CHUNK)]
    drawn = np.concatenate([_drawn(make(chunk), rng) for make in (_windows, _templates) for chunk in chunks])
    return Registration(basis=whitening(drawn.T @ drawn, len(drawn), N_COMPONENTS))


def _smoothed(grey: Floats) -> Floats:
    return smoothed(grey, SIDE, SMOOTHING)


def _windows(small: Floats) -> Floats:
    """[N, 81, 576]: every window of each image."""
    views = sliding_window_view(small, (WINDOW, WINDOW), axis=(1, 2))
    return np.asarray(views.reshape(len(small), -1, WINDOW**2))


def _templates(small: Floats) -> Floats:
    """[N, 40, 576]: the middle of each image after every movement."""
    moved = np.asarray(_movements() @ small.reshape(len(small), -1).T, dtype=np.float32)
    return moved.T.reshape(len(small), N_MOVEMENTS, WINDOW**2)


@lru_cache(maxsize=1)
def _movements() -> sparse.csr_matrix:
    grid = [(flip, angle, zoom) for flip in (False, True) for angle in ANGLES for zoom in ZOOMS]
    flip, angle, zoom = (np.array(column) for column in zip(*grid, strict=True))
    edge = (SIDE - WINDOW) // 2
    return movement_matrix(Warp(n=len(grid), flip=flip, angle=angle, zoom=zoom), SIDE, slice(edge, edge + WINDOW))


def _each_movement() -> Iterator[sparse.csr_matrix]:
    """The rows [576, 1024] of each movement."""
    for start in range(0, N_MOVEMENTS * WINDOW**2, WINDOW**2):
        yield _movements()[start : start + WINDOW**2]


def _drawn(patches: Floats, rng: np.random.Generator) -> Floats:
    chosen = rng.integers(0, patches.shape[1], (len(patches), N_DRAWS))
    return standard(np.take_along_axis(patches, chosen[..., None], axis=1).reshape(-1, patches.shape[2]))
