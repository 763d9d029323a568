"""A latent space that owes nothing to the private cohort: centre, directions, scales and radius from public images.

Nothing here is charged, because no private image is looked at (privacy.md 12: the public set is named in the card).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from generators.base import DataError
from generators.data import ImageSet

Array = NDArray[np.float64]
# More images cost time and add nothing to 200 directions.
MOST_PUBLIC_IMAGES = 2500
# Tuned on phantoms against phantoms, both public (generators/README.md has the figures).
N_DISCRIMINANT = 200
DISCRIMINANT_RIDGE = 0.1
FEW_IMAGES = 400
N_SPARE = 16
N_POWERS = 5


class Basis(Protocol):
    """Images [n, D] as latents [n, d] and back: linear (`PublicBasis`), or refined by a network (`autoencoder`).

    mean [D], directions [d, D], orthonormal, and scale [d] are the linear part, which latents are read off with; radius
    is the norm that one is clipped to. Whatever is added to an image outside the directions leaves its latent alone.
    """

    @property
    def mean(self) -> NDArray[np.float32]: ...

    @property
    def directions(self) -> NDArray[np.float32]: ...

    @property
    def scale(self) -> NDArray[np.float32]: ...

    @property
    def radius(self) -> float: ...

    @property
    def n_components(self) -> int:
        """d."""

    @property
    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """What a generator's folder keeps of it, but the radius."""

    def encode(self, pixels: NDArray[np.float32]) -> Array:
        """Latents [n, d] of images [n, D] in [0, 1], not clipped."""

    def decode(self, latents: Array) -> NDArray[np.float32]:
        """Images [n, D] of latents [n, d], unclipped; encoded again they have these latents."""


@dataclass(frozen=True, kw_only=True)
class PublicBasis:
    """mean [D]; directions [d, D], orthonormal; scale [d]; radius: the norm that a latent is clipped to.

    D is the number of values of an image, d of a latent. A latent is the projection divided by `scale`. A `Basis`.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    scale: NDArray[np.float32]
    radius: float

    @property
    def n_components(self) -> int:
        return len(self.directions)

    @property
    def tensors(self) -> dict[str, NDArray[np.generic]]:
        return {"mean": self.mean, "directions": self.directions, "scale": self.scale}

    def encode(self, pixels: NDArray[np.float32]) -> Array:
        """Latents [n, d] of images [n, D] in [0, 1], not clipped."""
        return np.asarray((pixels - self.mean) @ self.directions.T / self.scale, dtype=np.float64)

    def decode(self, latents: Array) -> NDArray[np.float32]:
        """Images [n, D] of latents [n, d]: those that lie in the space, unclipped."""
        return np.asarray((latents * self.scale).astype(np.float32) @ self.directions + self.mean)


def unit_pixels(images: ImageSet) -> NDArray[np.float32]:
    """Images as float32 [N, D] in [0, 1]."""
    return images.images.reshape(len(images), -1).astype(np.float32) / np.float32(images.max_value)


def clip_norms(rows: Array, bound: float) -> Array:
    """Rows [n, d] scaled down to Euclidean norm at most `bound`."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows * np.minimum(1.0, bound / np.maximum(norms, 1e-12)))


def fit_basis(
    public: ImageSet,
    *,
    n_components: int,
    radius_quantile: float,
    whitening: float,
    beside: NDArray[np.float32] | None = None,
) -> PublicBasis:
    """Principal directions of the public set, led by those that tell its labels apart where it has labels.

    whitening: 1 divides each latent by its public standard deviation, 0 leaves it; between, a power of it.
    radius_quantile: the share of public images that the radius leaves unclipped. beside: further deviations from the
    mean [m, D] that directions and scales have to express too, but not the radius. Raises DataError.
    """
    if len(public) <= n_components:
        raise DataError(
            f"{len(public)} public images for {n_components} components",
            where="public",
            remedy="give more public images or set fewer components",
        )
    chosen = np.linspace(0, len(public) - 1, min(len(public), MOST_PUBLIC_IMAGES)).astype(np.intp)
    public = public.select(chosen)
    pixels = unit_pixels(public)
    mean = pixels.mean(axis=0)
    centred = pixels - mean
    labelled = _label_directions(centred, public.label)[:n_components]
    varied = centred if beside is None else np.concatenate([centred, beside])
    rest = varied - (varied @ labelled.T) @ labelled
    directions = np.vstack([labelled, _principal_directions(rest, n_components - len(labelled))])
    deviation = (varied @ directions.T).std(axis=0)
    scale = np.maximum(deviation, 1e-6) ** whitening * float(deviation.mean()) ** (1 - whitening)
    norms = np.linalg.norm(centred @ directions.T / scale, axis=1)
    return PublicBasis(mean=mean, directions=directions, scale=scale, radius=float(np.quantile(norms, radius_quantile)))


def _label_directions(centred: NDArray[np.float32], label: NDArray[np.str_] | None) -> NDArray[np.float32]:
    """Orthonormal directions [labels - 1, D] along which public labels are best told apart (Fisher's discriminant).

    What tells a finding is small beside anatomy and pose, so principal directions alone miss it. The discriminant is
    taken among the leading principal directions, its covariance shrunk so that few public images suffice.
    """
    labels, number = np.unique(np.zeros(len(centred)) if label is None else label, return_inverse=True)
    if len(labels) < 2:
        return np.zeros((0, centred.shape[1]), dtype=np.float32)
    leading = _principal_directions(centred, min(N_DISCRIMINANT, len(centred) - 1))
    scores = (centred @ leading.T).astype(np.float64)
    means = np.stack([scores[number == k].mean(axis=0) for k in range(len(labels))])
    within = scores - means[number]
    covariance = within.T @ within / len(within)
    ridge = DISCRIMINANT_RIDGE * float(np.trace(covariance)) / len(covariance)
    weights = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), (means - means.mean(axis=0)).T).T
    _, size, rows = np.linalg.svd(weights, full_matrices=False)
    kept = rows[: len(labels) - 1][size[: len(labels) - 1] > 1e-6 * max(float(size[0]), 1e-12)]
    return np.asarray(kept.astype(np.float32) @ leading, dtype=np.float32)


def _principal_directions(centred: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """The n leading principal directions [n, D]: by the Gram matrix of few images, else by block power iteration.

    The iteration starts from fixed numbers and repeats exactly (Halko, Martinsson and Tropp 2011, algorithm 4.4).
    """
    if len(centred) <= max(FEW_IMAGES, 3 * n):
        values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
        leading = np.argsort(values)[::-1][:n]
        rows = vectors[:, leading].T.astype(np.float32) @ centred
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)
    block = centred.T @ np.random.default_rng(0).standard_normal((len(centred), n + N_SPARE), dtype=np.float32)
    for _ in range(N_POWERS):
        block = centred.T @ (centred @ np.linalg.qr(block)[0])
    span = np.linalg.qr(block)[0]
    turned = np.linalg.svd(centred @ span, full_matrices=False)[2]
    return np.asarray(turned[:n] @ span.T, dtype=np.float32)
