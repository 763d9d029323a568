"""The one private access of `mean-embedding`: a Gaussian mechanism on sums of per-subject feature means.

Image i of a subject with k images has random Fourier features phi, |phi| = 1 (Rahimi and Recht 2007), of its latent in
a public basis, and a condition vector x: the one-hot label and, scaled by g, the one-hot sex and age group (zeros where
unknown), so |x|^2 <= X^2 = 1 + 2 g^2. One subject contributes

    (1/k) sum of x [c, phi]^T      Frobenius norm <= X sqrt(1 + c^2)

by the triangle inequality, whatever the number of images and their labels. The column of c counts, with noise, how
many subjects bear each word. Frequencies repeat by seed and the kernel's width is a distance between public images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from generators.conditions import Vocabulary
from generators.data import ImageSet, images_per_subject
from generators.latent.basis import Array
from generators.secure_random import secure_normal

# Distances between this many public images are enough for a median.
N_FOR_WIDTH = 500


@dataclass(frozen=True, kw_only=True)
class FourierFeatures:
    """frequencies [d, m], already divided by the kernel's width. Features are [cos, sin] / sqrt m: of norm 1."""

    frequencies: Tensor

    def __call__(self, latents: Tensor) -> Tensor:
        """[n, 2m] of latents [n, d]."""
        phase = latents @ self.frequencies
        return torch.cat([phase.cos(), phase.sin()], dim=1) / math.sqrt(self.frequencies.shape[1])


def draw_features(public: Array, *, n_frequencies: int, width: float, seed: int) -> FourierFeatures:
    """Frequencies of a Gaussian kernel of deviation `width` times the median distance of public latents [n, d]."""
    rng = np.random.default_rng(seed)
    some = public[rng.permutation(len(public))[:N_FOR_WIDTH]]
    distances = np.linalg.norm(some[:, None] - some[None], axis=2)[np.triu_indices(len(some), 1)]
    scale = width * max(float(np.median(distances)), 1e-6)
    frequencies = rng.standard_normal((public.shape[1], n_frequencies)) / scale
    return FourierFeatures(frequencies=torch.from_numpy(frequencies.astype(np.float32)))


@dataclass(frozen=True, kw_only=True)
class Words:
    """How condition words are weighed. count_weight: c. group_weight: g."""

    vocabulary: Vocabulary
    count_weight: float
    group_weight: float

    @property
    def scale(self) -> Array:
        """[c]: 1 for labels, g for sexes and age groups."""
        n_groups = len(self.vocabulary.sexes) + len(self.vocabulary.age_groups)
        return np.array([1.0] * len(self.vocabulary.labels) + [self.group_weight] * n_groups)

    @property
    def sensitivity(self) -> float:
        """The bound on one subject's contribution."""
        n_groups = bool(self.vocabulary.sexes) + bool(self.vocabulary.age_groups)
        return math.sqrt((1 + n_groups * self.group_weight**2) * (1 + self.count_weight**2))


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A mean embedding [c, 2m] for each condition word, and the words' shares of all subjects [c], at least 0."""

    means: Tensor
    shares: Tensor


def subject_sums(images: ImageSet, conditions: Tensor, features: Tensor, words: Words) -> Array:
    """The sum over subjects of their contributions [c, 1 + 2m], without noise.

    conditions [N, c] and features [N, 2m] are those of `images`, row by row.
    """
    weighted = conditions.double().numpy() * words.scale / images_per_subject(images.subjects())[:, None]
    counted = np.full((len(images), 1), words.count_weight)
    return np.asarray(weighted.T @ np.hstack([counted, features.double().numpy()]))


def noisy_sums(exact: Array, words: Words, noise_multiplier: float) -> Array:
    """The release. The caller has charged it."""
    std = noise_multiplier * words.sensitivity if noise_multiplier else 0.0
    return np.asarray(exact + secure_normal(exact.shape, std))


def embedding_of(sums: Array, words: Words) -> Embedding:
    """What the (noisy) sums say, from them alone. A word that hardly any subject bears has share 0 and no mean."""
    counts = sums[:, 0] / (words.scale * words.count_weight)
    total = max(float(counts[: len(words.vocabulary.labels)].sum()), 1.0)
    kept = counts >= max(1.0, 0.002 * total)
    means = sums[:, 1:] / words.scale[:, None] / np.where(kept, counts, 1.0)[:, None]
    shares = np.where(kept, counts / total, 0.0)
    return Embedding(
        means=torch.from_numpy((means * kept[:, None]).astype(np.float32)),
        shares=torch.from_numpy(shares.astype(np.float32)),
    )
