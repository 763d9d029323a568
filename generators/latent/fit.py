"""From what was released to the Gaussian that is drawn from. Nothing here sees private data, so nothing is charged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.latent.basis import Array, clip_norms
from generators.latent.discriminant import agreeing_covariance
from generators.latent.label_covariances import FEWEST_OF_A_LABEL, label_covariances
from generators.latent.matrices import floored, positive_part, replaced
from generators.latent.release import FEWEST_SUBJECTS

# How far, in each latent, differences of means are from what covariance and classifier make of them. Declared.
MISFIT = 0.1
# Tuned on other splits than those reported: the least variance of any combination of latents, as a share of what each
# has in public; the weight of the public covariance in what is shrunk towards; the most that clipping is taken to have
# narrowed residuals.
LEAST_VARIANCE = 0.25
PUBLIC_SHARE = 0.9
SMALLEST_VARIANCE = 1e-6
LARGEST_WIDENING = 1.6
N_PROBES = 1000
N_HALVINGS = 16


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What public data or a declared law says of latents, and the radii that the release clipped to.

    spread [d]: the deviation of each. covariance [d, d]: within a label, of the operator's public images; None where
    there are none: then neither a least variance is set nor clipping undone. centres [labels, d]: around which latents
    were clipped.
    """

    spread: Array
    centres: Array
    covariance: Array | None
    radius: float
    residual_radius: float

    @property
    def target(self) -> Array:
        """[d, d]: what a noisy covariance is drawn towards, but for its scale."""
        if self.covariance is None:
            return np.diag(self.spread**2)
        # The spread of all public images, phantoms too: a latent in which the operator's hardly vary must not freeze.
        variances = np.diag(np.maximum(self.spread**2, SMALLEST_VARIANCE))
        return np.asarray(PUBLIC_SHARE * self.covariance + (1 - PUBLIC_SHARE) * variances)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """effects [p, d]: what a design vector is multiplied with for a mean. covariances [labels, d, d]."""

    effects: Array
    covariances: Array


def fit_mixture(
    noisy: Mapping[str, NDArray[np.generic]], *, n_labels: int, prior: Prior, shrink: bool, discriminant: bool
) -> Mixture:
    """The mixture of a release (`Release.tensors`)."""
    tensors = {name: value.astype(np.float64) for name, value in noisy.items()}
    effects, (sums_noise, moments_noise, *label_noise) = tensors["effects"], tensors["noise"]
    n_of_label = np.maximum(np.diag(tensors["design"])[:n_labels], 0.0)
    n = max(float(n_of_label.sum()), FEWEST_SUBJECTS)
    leading = noisy["leading"].astype(np.intp)
    target = prior.target
    released = fit_covariance(
        tensors["moments"],
        n=n,
        noise=float(moments_noise),
        shrink=shrink,
        target=target[np.ix_(leading, leading)],
        least=0.0 if prior.covariance is None else LEAST_VARIANCE,
    )
    covariance = extended_covariance(released, target, leading)
    if prior.covariance is not None:
        covariance = covariance * widening(covariance, effects[:n_labels], leading, prior) ** 2
    labels = prior.centres + effects[:n_labels]
    if discriminant and n_labels > 1:
        weights = tensors["weights"]
        noise = float(np.mean((sums_noise / np.maximum(n_of_label, FEWEST_OF_A_LABEL)) ** 2))
        labels = agreeing_means(covariance, labels, weights, noise=noise)
        covariance = agreeing_covariance(covariance, labels, weights)
    covariance = positive_part(covariance, floor=1e-4)
    covariances = np.repeat(covariance[None], n_labels, axis=0)
    if "label_moments" in tensors and tensors["label_moments"].size:  # an earlier version had none
        places = noisy["of_labels"].astype(np.intp)
        moments, noise = tensors["label_moments"], float(label_noise[0])
        covariances = label_covariances(covariance, moments, places, n_of_label, noise=noise)
    return Mixture(effects=np.vstack([labels, effects[n_labels:]]), covariances=covariances)


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


def fit_covariance(moments: Array, *, n: float, noise: float, shrink: bool, target: Array, least: float) -> Array:
    """The shared covariance [m, m] from noisy second moments of about `n` subjects.

    Where `shrink` is set it is drawn towards the target [m, m], scaled, by the share of its deviation from it that the
    known noise explains (the noise's energy over all energy, as Ledoit and Wolf 2004 do with sampling noise).
    Noise makes some eigenvalues far too small, and what hardly varies tells labels apart that nothing real does: in
    units of the target's deviations none stays below `least`, or nearly 0. The trace is kept.
    """
    covariance = moments / n
    size = len(covariance)
    total = max(float(np.trace(covariance)), 1e-3 * size)
    target = target * (total / float(np.trace(target)))
    if shrink:
        deviation = covariance - target
        explained = (noise / n) ** 2 * size * (size + 1) / 2
        share = min(1.0, explained / max(float(np.sum(deviation**2)), 1e-12))
        covariance = covariance - share * deviation
    if least:
        covariance = floored(covariance, target, floor=least)
    positive = positive_part(covariance, floor=1e-4)
    return np.asarray(positive * (total / float(np.trace(positive))))


def extended_covariance(released: Array, target: Array, leading: NDArray[np.intp]) -> Array:
    """[d, d]: all latents, those without released moments by their regression on the others in the target [d, d].

    The target is scaled to vary as much as what was released does in the leading latents.
    """
    target = target * float(np.trace(released) / np.trace(target[np.ix_(leading, leading)]))
    return replaced(target, released, leading)


def widening(covariance: Array, means: Array, leading: NDArray[np.intp], prior: Prior) -> float:
    """By what the deviations of residuals are multiplied to be, once clipped as the release clips, as wide as given.

    Clipping shortens latents and residuals, so second moments come out too small. Gaussian residuals stand in for the
    cohort's; at most LARGEST_WIDENING, since beyond that nearly all are clipped and little is known of their length.
    """
    wanted = float(np.trace(covariance[np.ix_(leading, leading)]))
    drawn = np.random.default_rng(0).standard_normal((N_PROBES, len(covariance)))
    drawn = drawn @ np.linalg.cholesky(positive_part(covariance, floor=1e-4)).T
    low, high = 1.0, LARGEST_WIDENING
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        kept = [_clipped_variance(middle * drawn, mean, leading, prior) for mean in means]
        low, high = (middle, high) if np.mean(kept) < wanted else (low, middle)
    return low


def _clipped_variance(residuals: Array, mean: Array, leading: NDArray[np.intp], prior: Prior) -> float:
    """The mean squared norm of residuals [n, d] in the leading latents, clipped as `release.exact_moments` does."""
    clipped = (clip_norms(mean + residuals, prior.radius) - mean)[:, leading]
    return float(np.sum(clip_norms(clipped, prior.residual_radius) ** 2) / len(residuals))


def draw_residuals(covariances: Array, groups: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """Gaussian residuals [n, d]; those of a group that is large enough have its covariance and no mean exactly.

    covariances [C, d, d]; groups: the label of each [n]. Exact moments spare whoever learns from the images the error
    of drawing them.
    """
    d = covariances.shape[1]
    drawn = rng.standard_normal((len(groups), d))
    for group in np.unique(groups):
        rows = groups == group
        if rows.sum() > 2 * d:
            centred = drawn[rows] - drawn[rows].mean(axis=0)
            factor = np.linalg.cholesky(centred.T @ centred / len(centred))
            drawn[rows] = np.linalg.solve(factor, centred.T).T
        drawn[rows] = drawn[rows] @ np.linalg.cholesky(covariances[group]).T
    return drawn
