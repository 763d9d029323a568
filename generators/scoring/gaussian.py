"""The scorer of `latent-statistics`: how dense the mixture that was released is at an image's latents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from generators.base import GeneratorCard
from generators.cards import card_vocabulary
from generators.config import build_config
from generators.data import ImageSet
from generators.latent.basis import unit_pixels
from generators.latent.design import Design
from generators.latent.settings import LatentStatisticsConfig
from generators.latent.space import LatentSpace
from generators.latent_statistics import BASIS, released_mixture
from generators.scoring.base import Doubles, asked_numbers

# Of the mean variance: what a Gaussian that is fitted to few people is widened by.
FLOOR = 0.05


@dataclass(frozen=True, kw_only=True)
class GaussianScorer:
    """A scorer that is a Gaussian of latents for each label (see `base.ImageScorer`).

    effects [p, d]: what a design vector is multiplied with for a mean. covariances [labels, d, d].
    """

    card: GeneratorCard
    space: LatentSpace
    design: Design
    effects: Doubles
    covariances: Doubles

    @classmethod
    def load(cls, folder: Path, card: GeneratorCard) -> GaussianScorer:
        """Of a finished folder."""
        settings, vocabulary = build_config(LatentStatisticsConfig, card.config), card_vocabulary(card)
        space = LatentSpace.load(folder / BASIS)
        mixture = released_mixture(folder, vocabulary, settings, space)
        return cls(
            card=card,
            space=space,
            design=Design(vocabulary=vocabulary, group_weight=settings.group_weight),
            effects=mixture.effects,
            covariances=mixture.covariances,
        )

    def scores(self, images: ImageSet) -> Doubles:
        """Minus the logarithm of the mean squared deviation in the mixture's own units.

        The density but for each label's constant; its logarithm alone would be lost in the scale of noisy covariances.
        """
        numbers = asked_numbers(self.card, images)
        residuals = self._latents(images) - self.design.rows(numbers) @ self.effects
        scores = np.empty(len(images))
        for label in np.unique(numbers[:, 0]):
            own = numbers[:, 0] == label
            factor = np.linalg.cholesky(self.covariances[label])
            scaled = np.linalg.solve(factor, residuals[own].T)
            scores[own] = -np.log(np.maximum((scaled**2).mean(axis=0), 1e-12))
        return scores

    def taught(self, images: ImageSet, *, n_steps: int, seed: int, afresh: bool = False) -> GaussianScorer:  # noqa: ARG002 - the protocol's
        """The Gaussian of these images without noise or shrinking; steps and seed are without meaning here."""
        latents, rows = self._latents(images), self.design.rows(asked_numbers(self.card, images))
        ridge = rows.T @ rows + np.eye(rows.shape[1])
        effects = np.asarray(np.linalg.solve(ridge, rows.T @ latents), dtype=np.float64)
        residuals = latents - rows @ effects
        covariance = residuals.T @ residuals / len(latents)
        floor = FLOOR * float(np.trace(covariance)) / len(covariance)
        whole = covariance + floor * np.eye(len(covariance))
        return replace(self, effects=effects, covariances=np.repeat(whole[None], self.design.n_labels, axis=0))

    def _latents(self, images: ImageSet) -> Doubles:
        return np.asarray(self.space.encode(unit_pixels(images)), dtype=np.float64)
