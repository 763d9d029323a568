"""Fine detail that costs no privacy: what a low-rank draw lacks is taken from procedural phantoms.

A phantom whose latent lies near the drawn one lends the part of its image that the latent space cannot express
(ribs, vessels, noise). Phantoms image no person, so nobody's detail can be pasted, the public set's people included.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from generators.phantoms import draw_phantoms
from generators.public_basis import Array, PublicBasis, unit_pixels

N_LENDERS = 800
N_NEAREST = 6


def add_phantom_detail(
    low_rank: NDArray[np.float32], latents: Array, *, basis: PublicBasis, size: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Images [n, D] with the detail of one of the nearest normal phantoms each. Deterministic in `rng`."""
    lenders = draw_phantoms(
        n_subjects=N_LENDERS, size=size, seed=int(rng.integers(2**31)), max_images=1, labels=("normal",)
    )
    pixels = unit_pixels(lenders.images)
    places = basis.encode(pixels)
    detail = pixels - basis.decode(places)
    nearest = np.asarray(cKDTree(places).query(latents, k=N_NEAREST)[1])
    chosen = nearest[np.arange(len(latents)), rng.integers(0, N_NEAREST, len(latents))]
    return np.asarray(low_rank + detail[chosen])
