"""Where the images of each label lie in public: what private latents are taken from before they are clipped.

What is publicly known of a label's mean need not be asked: around it a smaller radius, and so less noise, suffices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from generators.latent.basis import Array

# Fewer public images of a label say too little of where it lies.
FEWEST = 10
# Private images stray farther from public centres than public ones do.
RADIUS_MARGIN = 1.3


def public_centres(latents: Array, label: NDArray[np.str_] | None, labels: Sequence[str]) -> Array | None:
    """The mean [labels, d] of public latents [n, d] of each of the cohort's labels; None where they bear none of them.

    A label that too few of them bear gets the mean of all.
    """
    if label is None:
        return None
    of_each = [latents[label == word] for word in labels]
    if all(len(own) < FEWEST for own in of_each):
        return None
    everywhere = latents.mean(axis=0)
    return np.stack([own.mean(axis=0) if len(own) >= FEWEST else everywhere for own in of_each])


def radius_around(
    latents: Array, label: NDArray[np.str_] | None, labels: Sequence[str], centres: Array, *, quantile: float
) -> float:
    """The norm that latents are clipped to around their centres [labels, d]: a quantile of public ones, widened."""
    around = [latents[label == word] - centre for word, centre in zip(labels, centres, strict=True)]
    return RADIUS_MARGIN * float(np.quantile(np.linalg.norm(np.concatenate(around), axis=1), quantile))
