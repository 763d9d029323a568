"""A basis that needs no image at all: the leading discrete cosines, with deviations by a declared power law.

For cohorts without a public counterpart: colour photographs, digits, scans that no phantom resembles. Images of the
world lose power with frequency much alike (Field 1987): the deviation of a cosine of frequency f, in half periods
across the image, is taken as proportional to 1 / (1 + f), and all of them together as `CONTRAST`, the root mean square
of a pixel's deviation from mid grey. Both are declarations: they cost nothing and can be wrong without harm to privacy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import idctn

from generators.data import ImageSet
from generators.latent.basis import Array, PublicBasis, unit_pixels

CONTRAST = 0.4
MID_GREY = 0.5
# Differences between colours vary less than brightness does.
COLOUR_DELAY = 2.0
RADIUS_FACTOR = 1.1
# Cosines that an image drawn by the law is made of: finer ones hold little power.
N_DRAWN = 400


def cosine_basis(*, size: int, channels: int, n_components: int, whitening: float) -> tuple[PublicBasis, Array]:
    """The `n_components` (at most S * S * C) cosines of lowest frequency of images [S, S] or [S, S, C].

    And the deviation [d] that the law declares of each latent, in the latent's own units.
    """
    rows, columns, colours = np.meshgrid(np.arange(size), np.arange(size), np.arange(channels), indexing="ij")
    frequency = (np.hypot(rows, columns) + COLOUR_DELAY * colours).ravel()
    order = np.argsort(frequency, kind="stable")[: min(n_components, len(frequency))]
    law = 1 / (1 + frequency)
    deviation = (law * CONTRAST * np.sqrt(len(frequency)) / np.linalg.norm(law))[order]
    scale = deviation**whitening * float(deviation.mean()) ** (1 - whitening)
    spread = deviation / scale
    basis = PublicBasis(
        mean=np.full(len(frequency), MID_GREY, dtype=np.float32),
        directions=_cosines(order, (size, size, channels)),
        scale=scale.astype(np.float32),
        radius=RADIUS_FACTOR * float(np.linalg.norm(spread)),
    )
    return basis, spread


def cosine_draws(public: ImageSet) -> NDArray[np.float32]:
    """Deviations from a mean image [n, D], as many as there are public images, drawn by the law from fixed numbers.

    As strong as the public images' own deviations: beside them in the fit of a basis, half of what it can express is
    what such images vary in and half what any image may.
    """
    pixels = unit_pixels(public)
    basis, spread = cosine_basis(
        size=public.images.shape[1], channels=public.channels, n_components=N_DRAWN, whitening=0.0
    )
    own = float(pixels.var(axis=0).sum())
    drawn = np.random.default_rng(0).standard_normal((len(pixels), len(spread))) * spread
    return np.asarray((drawn * np.sqrt(own / np.sum(spread**2))).astype(np.float32) @ basis.directions)


def _cosines(order: NDArray[np.intp], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Orthonormal cosines [d, D] at these places of the transform, over images in their flattened order."""
    unit = np.zeros((len(order), int(np.prod(shape))))
    unit[np.arange(len(order)), order] = 1.0
    images = idctn(unit.reshape(-1, *shape), axes=(1, 2, 3), norm="ortho")
    return np.asarray(images.reshape(len(order), -1), dtype=np.float32)
