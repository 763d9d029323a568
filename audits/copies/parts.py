"""Is this image a bent copy of that one? Small parts are compared, each free to move a little on its own.

After deformable part models (Felzenszwalb et al. 2010). Each place has a whitening of its own, learned from what other
people show there: without it a part tells where in the body it lies, not whose body it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from audits.copies.pairs import Rows, by_candidate, smoothed, standard, unit, whitening
from audits.pixels import Floats, Greys

SIDE = 32
PART = 8
STARTS = (2, 6, 10, 14, 18, 22)
REACH = 2  # pixels by which a part may move, of 32
SMOOTHING = 0.7
N_COMPONENTS = 48
CHUNK = 1024  # images whose patches are held, 83 kB each


@dataclass(frozen=True, kw_only=True)
class Parts:
    """bases: [36, 64, n_components], a whitening for each place."""

    bases: Floats

    def correlation(self, queries: Floats, gallery: Greys, candidates: Rows) -> Floats:
        """Mean over parts of the best correlation [Q, k], for the query, its mirror image and both negatives.

        queries, gallery: grey [N, H, W], 14 kB a query are held; candidates: rows of the gallery.
        """
        best = np.zeros(candidates.shape, dtype=np.float32)
        straight, mirrored = (self._of(images, 0)[:, :, 0] for images in (queries, queries[:, :, ::-1]))
        for windows, row, column in by_candidate(candidates, gallery, partial(self._of, reach=REACH)):
            for templates in (straight, mirrored):
                likeness = np.matmul(windows, templates[row].transpose(1, 2, 0))
                for moved in (likeness.max(axis=1), -likeness.min(axis=1)):
                    best[row, column] = np.maximum(best[row, column], moved.mean(axis=0))
        return best

    def vector(self, grey: Floats) -> Floats:
        """[N, 36 * n_components], of unit length: all parts where they lie; a product is their mean correlation."""
        return self._of(grey, 0)[:, :, 0].reshape(len(grey), -1) / np.float32(len(STARTS))

    def _of(self, grey: Floats, reach: int) -> Floats:
        """[N, 36, (2 reach + 1)^2, n_components]"""
        return unit(np.matmul(_windows(_smoothed(grey), reach), self.bases))


def learn_parts(grey: Floats) -> Parts:
    """The whitening of each place, from images [N, H, W]."""
    small, places = _smoothed(grey), len(STARTS) ** 2
    moments, n = np.zeros((places, PART**2, PART**2)), 0
    for start in range(0, len(small), CHUNK):
        windows = standard(_windows(small[start : start + CHUNK], 1))
        patches = windows.transpose(1, 0, 2, 3).reshape(places, -1, PART**2)
        moments += np.matmul(patches.transpose(0, 2, 1), patches)
        n += patches.shape[1]
    return Parts(bases=np.stack([whitening(place, n, N_COMPONENTS) for place in moments.astype(np.float32)]))


def _smoothed(grey: Floats) -> Floats:
    return smoothed(grey, SIDE, SMOOTHING)


def _windows(small: Floats, reach: int) -> Floats:
    """[N, 36, (2 reach + 1)^2, 64]: around each place all windows within reach; over the border the border repeats."""
    side = PART + 2 * reach
    padded = np.pad(small, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    views = sliding_window_view(padded, (side, side), axis=(1, 2))[:, STARTS][:, :, STARTS]
    windows = sliding_window_view(views, (PART, PART), axis=(3, 4))
    return np.asarray(windows.reshape(len(small), len(STARTS) ** 2, -1, PART**2))
