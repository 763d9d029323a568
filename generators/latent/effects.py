"""From noisy sums to the means of labels and the effects of groups. Only noisy values enter, so nothing is charged."""

from __future__ import annotations

import itertools

import numpy as np

from generators.latent.basis import Array
from generators.latent.design import Design

GROUP_DEVIATION = 0.3
SMALLEST_SPREAD = 0.02
# What the prior deviations are chosen from, in units of the public deviation of a latent.
COMMON_DEVIATIONS = (0.1, 0.2, 0.4, 0.8, 1.6)
OWN_DEVIATIONS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


def fit_effects(counted: Array, summed: Array, *, sums_noise: float, design: Design, spread: Array) -> Array:
    """The additive effects M [p, d] for which A M is about B: the posterior mean under a Gaussian prior.

    Labels lie around the public centres by an offset that all of them share and one of their own, a group's effect
    around 0, all in units of the public deviation of each latent, spread [d]: a latent that hardly varies hardly has
    offsets. The deviations of the two offsets are those of a grid under which the noisy sums are most likely (the
    empirical Bayes of Morris 1983): an empty label falls back to what the others share, a rare group to no effect.
    """
    spread = np.maximum(spread, SMALLEST_SPREAD * float(spread.max()))
    counted = positive_part(counted, floor=0.0)
    within = max(float(np.trace(counted)) / design.norm**2, 1.0)  # the sampling variance of B is about one a person
    variance = (sums_noise / spread) ** 2 + within / design.size
    deviations = itertools.product(COMMON_DEVIATIONS, OWN_DEVIATIONS)
    fits = [_posterior(counted, summed / spread, variance, _prior(design, *pair)) for pair in deviations]
    return max(fits, key=lambda fit: fit[0])[1] * spread


def _prior(design: Design, common: float, own: float) -> Array:
    """The covariance [p, p] of effects before anything is seen."""
    n_labels = design.n_labels
    prior = np.diag(np.full(design.size, (GROUP_DEVIATION / design.group_weight) ** 2))
    prior[:n_labels, :n_labels] = common**2 + own**2 * np.eye(n_labels)
    return prior


def _posterior(counted: Array, summed: Array, variance: Array, prior: Array) -> tuple[float, Array]:
    """How likely sums [p, d] with noise of variance [d] are, up to a constant, and the posterior mean [p, d]."""
    values, vectors = np.linalg.eigh(counted @ prior @ counted)
    total = np.maximum(values, 0.0)[:, None] + variance
    turned = vectors.T @ summed
    likelihood = -0.5 * float(np.sum(turned**2 / total + np.log(total)))
    return likelihood, np.asarray(prior @ counted @ vectors @ (turned / total))


def positive_part(matrix: Array, *, floor: float) -> Array:
    """The symmetric matrix with eigenvalues below `floor` raised to it."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)
