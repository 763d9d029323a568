"""Extractors that need no training: raw pixels, and histograms of gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audits.pixels import Floats, Greys, by_block, resize

N_COMPONENTS = 64
N_DIRECTIONS = 8


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A deterministic map from grey images [N, H, W] in [0, 1] to float32 vectors [N, D]."""

    name: str
    extract: Callable[[Floats], Floats]

    def of(self, images: Greys) -> Floats:
        """[N, D], block by block."""
        return by_block(images, self.extract)


def raw_pixels(*, size: int = 16) -> Embedding:
    """Grey pixels averaged to `size`: the baseline extractor that needs no trust at all."""
    return Embedding(name=f"pixels {size}x{size}", extract=lambda grey: resize(grey, size).reshape(len(grey), -1))


def multi_scale(control: Greys | None) -> Embedding:
    """Low-resolution pixels, local contrast and gradient histograms at two scales.

    With a control arm the features are standardised and projected on its leading components, so that neither arm under
    test shapes the space in which it is judged. Without one, or with too small a one, they are used as they are.
    """
    if control is None or len(control) <= N_COMPONENTS:
        return Embedding(name="gradient histograms, fixed", extract=_features)
    project = projection(by_block(control, _features))
    return Embedding(
        name=f"gradient histograms, {N_COMPONENTS} components of the control arm",
        extract=lambda grey: project(_features(grey)),
    )


def projection(fit: Floats) -> Callable[[Floats], Floats]:
    """A map of rows [N, D] to the leading components [N, 64] of the rows in `fit`, each scaled to unit spread."""
    mean, scale = fit.mean(axis=0), fit.std(axis=0) + 1e-3
    _, spectrum, axes = np.linalg.svd((fit - mean) / scale, full_matrices=False)
    basis = axes[:N_COMPONENTS].T / np.sqrt(spectrum[:N_COMPONENTS] / np.sqrt(len(fit)) + 1e-6)
    return lambda rows: np.asarray((rows - mean) / scale @ basis, dtype=np.float32)


def _features(grey: Floats) -> Floats:
    """[N, D] of images [N, H, W] in [0, 1]."""
    large = resize(grey, 64)
    blocks = [resize(grey, 16), _local_contrast(large)]
    for image in (large, resize(large, 32)):
        blocks += _gradient_histograms(image)
    return np.concatenate([block.reshape(len(grey), -1) for block in blocks], axis=1).astype(np.float32)


def _local_contrast(images: Floats) -> Floats:
    spread = resize(images**2, 8) - resize(images, 8) ** 2
    return np.asarray(np.sqrt(np.maximum(spread, 0)))


def _gradient_histograms(images: Floats) -> list[Floats]:
    """Gradient strength by direction (eight, undirected) in 4 x 4 cells, as in Dalal and Triggs 2005."""
    dy, dx = np.gradient(images, axis=(1, 2))
    strength, angle = np.hypot(dy, dx), np.mod(np.arctan2(dy, dx), np.pi)
    bins = np.minimum((angle / np.pi * N_DIRECTIONS).astype(int), N_DIRECTIONS - 1)
    return [resize(np.where(bins == direction, strength, 0), 4) for direction in range(N_DIRECTIONS)]
