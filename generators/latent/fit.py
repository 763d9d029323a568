"""From what was released to the Gaussian that is drawn from. Nothing here sees private data, so nothing is charged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.latent.basis import Array
from generators.latent.discriminant import agreeing_covariance
from generators.latent.release import positive_part

FEWEST_SUBJECTS = 10.0
FEWEST_OF_A_LABEL = 5.0
# How far, in each latent, differences of means are from what covariance and classifier make of them. Declared.
MISFIT = 0.1


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """effects [p, d]: what a design vector is multiplied with for a mean. covariance [d, d]: shared by all."""

    effects: Array
    covariance: Array


def fit_mixture(
    noisy: Mapping[str, NDArray[np.generic]], *, n_labels: int, spread: Array, shrink: bool, discriminant: bool
) -> Mixture:
    """The mixture of a release (`Release.tensors`). spread: the public deviation of each latent [d]."""
    tensors = {name: value.astype(np.float64) for name, value in noisy.items()}
    effects, (sums_noise, moments_noise) = tensors["effects"], tensors["noise"]
    n_of_label = np.maximum(np.diag(tensors["design"])[:n_labels], 0.0)
    n = max(float(n_of_label.sum()), FEWEST_SUBJECTS)
    leading = noisy["leading"].astype(np.intp)
    released = fit_covariance(
        tensors["moments"], n=n, noise=float(moments_noise), shrink=shrink, spread=spread[leading]
    )
    # Latents without released moments vary by as much more or less than in public as the others do on average.
    covariance = np.diag(spread**2) * float(np.trace(released) / np.sum(spread[leading] ** 2))
    covariance[np.ix_(leading, leading)] = released
    if discriminant and n_labels > 1:
        weights = tensors["weights"]
        noise = float(np.mean((sums_noise / np.maximum(n_of_label, FEWEST_OF_A_LABEL)) ** 2))
        labels = agreeing_means(covariance, effects[:n_labels], weights, noise=noise)
        effects = np.vstack([labels, effects[n_labels:]])
        covariance = agreeing_covariance(covariance, labels, weights)
    return Mixture(effects=effects, covariance=positive_part(covariance, floor=1e-4))


def agreeing_means(covariance: Array, means: Array, weights: Array, *, noise: float) -> Array:
    """Means of labels [C, d] between those released and those that covariance and classifier weights [d, C] foretell.

    The weight of the released is that of a measurement with variance `noise` against a prior of variance MISFIT^2.
    """
    centre = means.mean(axis=0)
    weights = weights - weights.mean(axis=1, keepdims=True)
    foretold = (covariance @ weights).T
    scale = float(np.sum((means - centre) * weights.T)) / max(float(np.sum(foretold * weights.T)), 1e-12)
    trust = MISFIT**2 / (MISFIT**2 + noise)
    return np.asarray(centre + trust * (means - centre) + (1 - trust) * max(scale, 0.0) * foretold)


def fit_covariance(moments: Array, *, n: float, noise: float, shrink: bool, spread: Array) -> Array:
    """The shared covariance [m, m] from noisy second moments of about `n` subjects.

    Where `shrink` is set it is drawn towards the public variances, scaled, by the share of its deviation from them
    that the known noise explains (the noise's energy over all energy, as Ledoit and Wolf 2004 do with sampling noise).
    Negative eigenvalues, which only noise can make, are set to nearly 0 and the trace is kept.
    """
    covariance = moments / n
    size = len(covariance)
    total = max(float(np.trace(covariance)), 1e-3 * size)
    if shrink:
        deviation = covariance - np.diag(spread**2) * (total / float(np.sum(spread**2)))
        explained = (noise / n) ** 2 * size * (size + 1) / 2
        share = min(1.0, explained / max(float(np.sum(deviation**2)), 1e-12))
        covariance = covariance - share * deviation
    positive = positive_part(covariance, floor=1e-4)
    return np.asarray(positive * (total / float(np.trace(positive))))


def draw_residuals(covariance: Array, groups: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """Gaussian residuals [n, d]; those of a group that is large enough have this covariance and no mean exactly.

    groups: the label of each [n]. Exact moments spare whoever learns from the images the error of drawing them.
    """
    d = len(covariance)
    drawn = rng.standard_normal((len(groups), d))
    for group in np.unique(groups):
        rows = groups == group
        if rows.sum() > 2 * d:
            centred = drawn[rows] - drawn[rows].mean(axis=0)
            factor = np.linalg.cholesky(centred.T @ centred / len(centred))
            drawn[rows] = np.linalg.solve(factor, centred.T).T
    return np.asarray(drawn @ np.linalg.cholesky(covariance).T)
