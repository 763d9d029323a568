"""From noisy sums to the means of labels and the effects of groups. Only noisy values enter, so nothing is charged."""

from __future__ import annotations

import numpy as np

from generators.latent.basis import Array
from generators.latent.design import Design
from generators.latent.matrices import positive_part

# Declared prior deviations, in units of the public deviation of a latent: of the offset that all labels share, of each
# label's own, of a group's effect. Finding the first two from the noisy sums (empirical Bayes) told labels apart worse.
COMMON_DEVIATION = OWN_DEVIATION = 1.0
GROUP_DEVIATION = 0.3
SMALLEST_SPREAD = 0.02


def fit_effects(counted: Array, summed: Array, *, sums_noise: float, design: Design, spread: Array) -> Array:
    """The additive effects M [p, d] for which A M is about B: the posterior mean under a Gaussian prior.

    Labels lie around the public centres by an offset that all of them share and one of their own, a group's effect
    around 0, all in proportion to the public deviation of each latent, spread [d]: a latent that hardly varies hardly
    has offsets, and takes little of the noise. An empty label leans on what the others share.
    """
    spread = np.maximum(spread, SMALLEST_SPREAD * float(spread.max()))
    counted = positive_part(counted, floor=0.0)
    within = max(float(np.trace(counted)) / design.norm**2, 1.0)  # the sampling variance of B is about one a person
    variance = (sums_noise / spread) ** 2 + within / design.size
    prior = _prior(design)
    values, vectors = np.linalg.eigh(counted @ prior @ counted)
    weighed = (vectors.T @ (summed / spread)) / (np.maximum(values, 0.0)[:, None] + variance)
    return np.asarray(prior @ counted @ vectors @ weighed * spread)


def _prior(design: Design) -> Array:
    """The covariance [p, p] of effects before anything is seen."""
    n_labels = design.n_labels
    prior = np.diag(np.full(design.size, (GROUP_DEVIATION / design.group_weight) ** 2))
    prior[:n_labels, :n_labels] = COMMON_DEVIATION**2 + OWN_DEVIATION**2 * np.eye(n_labels)
    return prior
