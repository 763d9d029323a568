"""The settings of `latent-statistics`, and what follows from them and public numbers before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.base import ConfigError
from generators.config import setting
from generators.latent.release import Shares
from generators.latent.space import LatentSpace

# With more labels a classifier has more noisy weights than the covariance is worth: ten digits lose by it.
MOST_LABELS_TO_TELL = 4
COVARIANCE_NOISE = 1.0
FEWEST_LEADING = 2
# Latents in which labels have covariances of their own, at least and at most.
FEWEST_OF_A_LABEL, MOST_OF_A_LABEL = 8, 32


@dataclass(frozen=True, kw_only=True)
class LatentStatisticsConfig:
    """Settings. The budget bounds epsilon whatever is chosen; shares and clipping say how it is spent."""

    basis: str = setting(
        "auto",
        "where latents come from: pca of public images, autoencoder (pca with a decoder that a network refines), dct "
        "(no image at all), or auto: pca where the operator or phantoms give images like these",
    )
    basis_steps: int = setting(400, "training steps of the autoencoder, about a seventh of a second each", low=1)
    add_phantoms: bool = setting(True, "fit the basis to phantoms beside the operator's public images (grey ones)")
    n_components: int = setting(64, "low-rank directions of the latent space, at most", low=2, high=512)
    n_texture: int = setting(
        48, "latents of texture: how rough an image is, where (grey images of 32 pixels on)", low=0, high=128
    )
    whitening: float = setting(
        0.5, "power of the public deviation that each latent is divided by, 0 to 1", low=0, high=1
    )
    radius_quantile: float = setting(
        0.9, "share of public images that the clipping radius leaves whole", low=0.1, high=1, changes_privacy=True
    )
    residual_factor: float = setting(
        0.9,
        "clipping radius of residuals, as a share of the root of their public variance",
        low=0.05,
        high=3,
        changes_privacy=True,
    )
    counts_share: float = setting(0.03, "share of the budget for counts", low=0.001, high=0.9, changes_privacy=True)
    sums_share: float = setting(0.37, "share of the budget for sums", low=0.01, high=0.95, changes_privacy=True)
    discriminant_share: float = setting(
        0.4,
        "share of the budget for a classifier of the labels, where there are 2 to 4; more go without, half of it to "
        "sums; what is left goes to covariance",
        low=0,
        high=0.9,
        changes_privacy=True,
    )
    of_each_label: float = setting(
        0.6,
        "part of the covariance's share that asks for each label's own, where there are more than 4 labels and noise "
        "leaves enough of it",
        low=0,
        high=0.9,
        changes_privacy=True,
    )
    spectrum_share: float = setting(
        0.0,
        "share of the budget for what images look like on average, where texture is drawn: power of each ring, "
        "roughness of each zone (.06 is a start); the other shares are of what is left",
        low=0,
        high=0.5,
        changes_privacy=True,
    )
    group_weight: float = setting(
        0.4, "weight of sex and age against the label in the shared bound", low=0.05, high=1, changes_privacy=True
    )
    shrink: bool = setting(True, "shrink the covariance by the share of it that noise explains")
    detail: str = setting(
        "lenders",
        "what is added to what the latent space expresses: none, lenders (of phantoms, one channel only) or network "
        "(trained on phantoms and public images)",
    )
    detail_steps: int = setting(500, "training steps of the detail network, half a second each on a core", low=1)
    labels: str = setting("", "the public label vocabulary, comma-separated; empty: the cohort's own words")

    def __post_init__(self) -> None:
        if self.counts_share + self.sums_share + self.discriminant_share >= 1 - 1e-9:
            raise ConfigError(
                f"{self.counts_share}, {self.sums_share} and {self.discriminant_share} leave nothing for covariance",
                where="sums_share",
                remedy="choose shares with a sum below 1",
            )

    def shares(self, n_labels: int, *, of_each: bool = False) -> Shares:
        """How the budget is split for so many labels, from settings alone; of_each: with covariances of labels."""
        discriminant = self.discriminant_share if 1 < n_labels <= MOST_LABELS_TO_TELL else 0.0
        sums = self.sums_share + (self.discriminant_share - discriminant) / 2
        left = 1 - self.counts_share - sums - discriminant
        own = left * self.of_each_label if of_each and n_labels > MOST_LABELS_TO_TELL else 0.0
        return Shares(
            counts=self.counts_share,
            sums=sums,
            moments=left - own,
            label_moments=own,
            discriminant=discriminant,
        )


def affordable(
    settings: LatentStatisticsConfig, n_labels: int, noise_multiplier: float, public_n_subjects: int, at_most: int
) -> tuple[Shares, int]:
    """The shares, and in how many latents labels have covariances of their own: 0 where noise would leave few."""
    shares = settings.shares(n_labels, of_each=True)
    n_latents = leading_latents(
        noise_multiplier,
        shares.label_moments,
        public_n_subjects=public_n_subjects // n_labels,
        at_most=min(at_most, MOST_OF_A_LABEL),
    )
    if n_latents >= FEWEST_OF_A_LABEL:
        return shares, n_latents
    return settings.shares(n_labels), 0


def leading_latents(noise_multiplier: float, share: float, *, public_n_subjects: int, at_most: int) -> int:
    """How many latents' second moments are worth releasing, from public numbers.

    The noise of m^2 moments of unit spread moves eigenvalues by about 2 sqrt(m / 2) multiplier m / (n sqrt(share)):
    m is where that reaches COVARIANCE_NOISE. Further latents keep their public variances.
    """
    worth_it = (COVARIANCE_NOISE * public_n_subjects * share**0.5 / max(noise_multiplier, 1e-9)) ** (2 / 3)
    return int(min(max(worth_it, FEWEST_LEADING), at_most))


def residual_radius(space: LatentSpace, leading: NDArray[np.intp], settings: LatentStatisticsConfig) -> float:
    """What residuals of the leading latents are clipped to, from public numbers."""
    return settings.residual_factor * float(np.linalg.norm(space.spread[leading]))
