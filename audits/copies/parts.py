"""Is this image a bent copy of that one? Small parts are compared, each free to move a little on its own.

After deformable part models (Felzenszwalb et al. 2010). Each place has a whitening of its own, learned from what other
people show there: without it a part tells where in the body it lies, not whose body it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from audits.copies.pairs import Rows, by_candidate, query_blocks, standard, unit, whitening
from audits.pixels import Floats, resize

SIDE = 32
PART = 8
STARTS = (2, 6, 10, 14, 18, 22)
REACH = 2  # pixels by which a part may move, of 32
SMOOTHING = 0.7
N_COMPONENTS = 48


@dataclass(frozen=True, kw_only=True)
class Parts:
    """bases: [36, 64, n_components], a whitening for each place."""

    bases: Floats

    def correlation(self, queries: Floats, gallery: Floats, candidates: Rows) -> Floats:
        """Mean over parts of the best correlation [Q, k], for the query, its mirror image and both negatives.

        queries, gallery: grey [N, H, W]; candidates: rows of the gallery.
        """
        known = _smoothed(gallery)
        parts = [self._block(_smoothed(queries[at]), known, candidates[at]) for at in query_blocks(len(queries))]
        return np.concatenate(parts)

    def vector(self, grey: Floats) -> Floats:
        """[N, 36 * n_components], of unit length: all parts where they lie; a product is their mean correlation."""
        return self._of(_windows(_smoothed(grey), 0))[:, :, 0].reshape(len(grey), -1) / np.float32(len(STARTS))

    def _block(self, small: Floats, known: Floats, candidates: Rows) -> Floats:
        best = np.zeros(candidates.shape, dtype=np.float32)
        straight, mirrored = (self._of(_windows(images, 0))[:, :, 0] for images in (small, small[:, :, ::-1]))
        for at, row, column in by_candidate(candidates):
            windows = self._of(_windows(known[at : at + 1], REACH))[0]
            for templates in (straight, mirrored):
                likeness = np.matmul(windows, templates[row].transpose(1, 2, 0))
                for moved in (likeness.max(axis=1), -likeness.min(axis=1)):
                    best[row, column] = np.maximum(best[row, column], moved.mean(axis=0))
        return best

    def _of(self, windows: Floats) -> Floats:
        return unit(np.matmul(windows, self.bases))


def learn_parts(grey: Floats) -> Parts:
    """The whitening of each place, from images [N, H, W]."""
    windows = _windows(_smoothed(grey), 1)
    places = [windows[:, i].reshape(-1, PART**2) for i in range(windows.shape[1])]
    return Parts(bases=np.stack([whitening(place, N_COMPONENTS) for place in places]))


def _smoothed(grey: Floats) -> Floats:
    return np.asarray(ndimage.gaussian_filter(resize(grey, SIDE), (0, SMOOTHING, SMOOTHING)), dtype=np.float32)


def _windows(small: Floats, reach: int) -> Floats:
    """[N, 36, (2 reach + 1)^2, 64]: around each place all windows within reach; over the border the border repeats."""
    side = PART + 2 * reach
    padded = np.pad(small, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    views = sliding_window_view(padded, (side, side), axis=(1, 2))[:, STARTS][:, :, STARTS]
    windows = sliding_window_view(views, (PART, PART), axis=(3, 4))
    return standard(windows.reshape(len(small), len(STARTS) ** 2, -1, PART**2))
