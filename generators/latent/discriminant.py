"""What tells labels apart, by a few noisy gradients, and a covariance that agrees with it.

A noisy covariance of d latents has d^2 / 2 entries, and its inverse, on which every classifier of the synthetic images
rests, is far worse than itself. The weights of a linear classifier are d numbers a label: noisy gradient descent on
the logistic loss (Song, Chaudhuri and Sarwate 2013; Bassily, Smith and Thakurta 2014), full batch, one clipped gradient
a subject, costs little beside it. Its T steps compose as one Gaussian mechanism and are recorded as one, before the
first noise is drawn.

`agreeing_covariance` then changes a covariance S as little as needed for S W to be along the differences of label means
M, as Fisher's discriminant has it: the secant update of quasi-Newton methods (Broyden, Fletcher, Goldfarb and Shanno
1970), which keeps S positive. The spread along W stays as it was, so labels do not become easier to tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from generators.data import images_per_subject
from generators.latent.basis import Array, clip_norms
from generators.privacy import GaussianEvent
from generators.secure_random import secure_normal

# Tuned on other splits than those reported (generators/README.md).
MAX_GRAD_NORM = 2.8
RIDGE = 0.04
LONGEST_DESCENT = 20.0
SHORTEST_DESCENT = 3.0
NOISE_LIMIT = 0.95


@dataclass(frozen=True, kw_only=True)
class Descent:
    """How far to go: n_steps of `step_size`, each with noise `noise_multiplier` times MAX_GRAD_NORM on its sum."""

    n_steps: int
    step_size: float
    noise_multiplier: float

    @classmethod
    def planned(cls, event: GaussianEvent, *, n_latents: int, n_labels: int, public_n_subjects: int) -> Descent:
        """From public numbers: as long as the noise that gathers in the weights stays below what they may become.

        After a descent of length t = steps x size the weights of a label have gathered noise of about
        t x multiplier x norm / n in each latent, whatever the number of steps.
        """
        noise = max(event.noise_multiplier, 1e-9) * MAX_GRAD_NORM / math.sqrt(2) * math.sqrt(n_latents)
        length = min(max(NOISE_LIMIT * public_n_subjects / noise, SHORTEST_DESCENT), LONGEST_DESCENT)
        n_steps = math.ceil(length)
        return cls(
            n_steps=n_steps,
            step_size=length / n_steps * n_labels / 4,
            noise_multiplier=event.noise_multiplier * math.sqrt(n_steps),
        )


def subject_gradients(
    weights: Array, latents: Array, labels: NDArray[np.intp], subjects: NDArray[np.str_], *, bound: float
) -> Array:
    """Gradients [subjects, d * C] of weights [d, C] on the mean logistic loss of each subject's images, clipped."""
    error = softmax(latents @ weights, axis=1)
    error[np.arange(len(labels)), labels] -= 1.0
    people, owner = np.unique(subjects, return_inverse=True)
    each = (latents[:, :, None] * error[:, None, :]).reshape(len(latents), weights.size)
    gradients = np.zeros((len(people), weights.size))
    np.add.at(gradients, owner, each / images_per_subject(owner)[:, None])
    return clip_norms(gradients, bound)


def descend(
    latents: Array,
    labels: NDArray[np.intp],
    subjects: NDArray[np.str_],
    *,
    plan: Descent,
    n_labels: int,
    public_n_subjects: int,
) -> Array:
    """Weights [d, C] of a linear classifier of latents [N, d]: the mean of the later half of the noisy steps.

    The caller has recorded the whole descent.
    """
    with_one = np.hstack([latents, np.ones((len(latents), 1))])
    weights = np.zeros((with_one.shape[1], n_labels))
    kept = np.zeros_like(weights)
    later = range(plan.n_steps // 2, plan.n_steps)
    for step in range(plan.n_steps):
        total = subject_gradients(weights, with_one, labels, subjects, bound=MAX_GRAD_NORM).sum(axis=0)
        total = total + secure_normal(total.shape, plan.noise_multiplier * MAX_GRAD_NORM)
        gradient = total.reshape(weights.shape) / public_n_subjects
        weights = weights - plan.step_size * (gradient + RIDGE * weights)
        kept += weights / len(later) if step in later else 0.0
    return kept[:-1]


def agreeing_covariance(covariance: Array, means: Array, weights: Array) -> Array:
    """The covariance [d, d] nearest in the secant sense under which Fisher's discriminant of means [C, d] is weights
    [d, C]; unchanged in all directions where the two do not agree about the sign of a difference.

    means and weights are centred over labels here; one label leaves the covariance as it is.
    """
    means = means - means.mean(axis=0)
    weights = weights - weights.mean(axis=1, keepdims=True)
    # Directions of labels in which noise has not turned the difference round.
    values, vectors = np.linalg.eigh((means @ weights + (means @ weights).T) / 2)
    kept = vectors[:, values > 1e-3 * max(float(values[-1]), 1e-9)]
    if not kept.shape[1]:
        return covariance
    means, weights = kept.T @ means, weights @ kept
    agreement = (means @ weights + (means @ weights).T) / 2
    spread = weights.T @ covariance @ weights
    weights = weights * (float(np.trace(agreement)) / float(np.trace(spread)))
    agreement = agreement * (float(np.trace(agreement)) / float(np.trace(spread)))
    pushed = covariance @ weights
    removed = pushed @ np.linalg.pinv(weights.T @ pushed) @ pushed.T
    changed = covariance - removed + means.T @ np.linalg.solve(agreement, means)
    return np.asarray((changed + changed.T) / 2)
