"""How the covariance of a label differs from the one that all share. Only noisy values enter: nothing is charged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generators.latent.basis import Array
from generators.latent.matrices import floored, replaced

FEWEST_OF_A_LABEL = 5.0
# The least variance of any combination of latents within a label, as a share of what all labels together have.
LEAST_OF_ALL = 0.1


def label_covariances(
    shared: Array, moments: Array, places: NDArray[np.intp], n_of_label: Array, *, noise: float
) -> Array:
    """[C, d, d]: the covariance of each label from the shared one [d, d] and noisy second moments [C, l, l].

    places [l]: the latents that the moments are about. n_of_label [C]: noisy numbers of subjects. noise: the deviation
    on the diagonal of the moments. A label's deviation from the mean of all is drawn towards none by the share of it
    that the noise and the drawing of so few people explain (as Ledoit and Wolf 2004 do); the other latents follow by
    their regression on these.
    """
    n = np.maximum(n_of_label, FEWEST_OF_A_LABEL)
    mean = moments.sum(axis=0) / n.sum()
    base = shared[np.ix_(places, places)]
    widened = float(np.trace(base)) / max(float(np.trace(mean)), 1e-3 * len(base))
    sampling = float(np.trace(base)) ** 2 / len(base) ** 2
    covariances = []
    for own, number in zip(moments, n, strict=True):
        deviation = own / number - mean
        size = len(places) * (len(places) + 1) / 2
        explained = ((noise / number) ** 2 + sampling / number) * size
        kept = max(0.0, 1 - explained / max(float(np.sum(deviation**2)), 1e-12))
        block = floored(base + kept * widened * deviation, base, floor=LEAST_OF_ALL)
        covariances.append(replaced(shared, block, places))
    return np.stack(covariances)
