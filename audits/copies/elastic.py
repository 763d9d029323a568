"""Is this image that one, bent? The one is bent back until it fits; what then still differs tells whose image it is.

Demons (Thirion 1998, Medical Image Analysis 2) from coarse to fine: each pixel of the known image moves along the
query's gradient towards the query's grey, and the field of movements is smoothed after every step. Bent back, a
stranger resembles the query in what all images of a kind share; the whitened parts leave that out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audits.copies.pairs import Rows, smoothing
from audits.copies.parts import SIDE, Parts
from audits.pixels import Floats, Greys, small

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = ((1.5, 2.5, 5), (0.7, 1.5, 3))  # pixels by which grey and field are smoothed, steps
SURROUNDINGS = 6.0  # pixels over which brightness and contrast are taken out
LEAST_CONTRAST = 0.02
LEAST_SLOPE = 0.03  # squared: where the query is flat, nothing moves
AT_ONCE = 64


def bent_correlation(parts: Parts, queries: Floats, gallery: Greys, candidates: Rows, likely: Floats) -> Floats:
    """Mean correlation of all parts [Q, k] once the candidate is bent back: of each query's likeliest one; 0, no
    evidence, of the others.

    queries [Q, 32, 32], gallery: grey; candidates: rows [Q, k] of the gallery; likely: [Q, k].
    """
    found, column = np.zeros(candidates.shape, dtype=np.float32), likely.argmax(axis=1)
    for start in range(0, len(queries), AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, len(queries)))
        asked, known = queries[rows], small(gallery[candidates[rows, column[rows]]], SIDE)
        fitted = parts.vector(bent_back(known, asked))
        found[rows, column[rows]] = np.einsum("nd,nd->n", parts.vector(asked), fitted)
    return found


def bent_back(images: Floats, queries: Floats) -> Floats:
    """Each of images [n, 32, 32] bent smoothly, by some three pixels at most, until it fits its query."""
    import torch  # noqa: PLC0415 - only runs pay for it, not the listing of audits

    field = torch.zeros(len(images), 2, SIDE, SIDE)
    for softness, stiffness, n_steps in LEVELS:
        moving, fixed = (torch.from_numpy(_even(grey, softness)) for grey in (images, queries))
        down, right = torch.gradient(fixed, dim=(1, 2))
        slope = torch.stack([right, down], dim=1) / (right**2 + down**2 + LEAST_SLOPE)[:, None]
        smooth = torch.from_numpy(smoothing(SIDE, stiffness))
        for _ in range(n_steps):
            field = smooth @ (field + (fixed - _bent(moving, field))[:, None] * slope) @ smooth.T
    return np.asarray(_bent(torch.from_numpy(images), field).numpy())


def _bent(images: Tensor, field: Tensor) -> Tensor:
    """Images [n, 32, 32], each pixel taken from where the field [n, 2, 32, 32] points, in pixels right and down."""
    import torch  # noqa: PLC0415

    at = torch.linspace(-1, 1, SIDE)
    place = torch.stack(torch.meshgrid(at, at, indexing="xy")) + field * (2 / (SIDE - 1))
    grid = place.permute(0, 2, 3, 1)
    return torch.nn.functional.grid_sample(images[:, None], grid, padding_mode="border", align_corners=True)[:, 0]


def _even(grey: Floats, softness: float) -> Floats:
    """Images [n, 32, 32], softened, of even brightness and contrast everywhere."""
    soft, wide = smoothing(SIDE, softness), smoothing(SIDE, SURROUNDINGS)
    softened = soft @ grey @ soft.T
    detail = softened - wide @ softened @ wide.T
    contrast = np.sqrt(np.maximum(wide @ (detail * detail) @ wide.T, 0))
    return np.asarray(detail / (contrast + LEAST_CONTRAST), dtype=np.float32)
