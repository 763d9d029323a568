"""Votes of private images for candidates: one Gaussian mechanism on a histogram to which a person adds at most 1.

Each image names the candidates of its own label that lie nearest. A subject's votes over all images and all labels
are one vector, scaled to Euclidean norm 1, whatever the number of images: adding or removing the subject moves the
histogram by at most 1 (add/remove, privacy.md 2 and 5), and noise of standard deviation `noise_multiplier` is that
of the Gaussian mechanism.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from generators.base import SpendRecorder
from generators.latent.basis import Array
from generators.privacy import StepRecord
from generators.secure_random import secure_normal

PHASE = "votes"


@dataclass(frozen=True, kw_only=True)
class Voters:
    """latents [N, d], label number [N] and subject [N] of the private images."""

    latents: Array
    labels: NDArray[np.intp]
    subjects: NDArray[np.str_]


def nearest_candidates(
    voters: Voters, places: Array, candidate_labels: NDArray[np.intp], *, n_nearest: int
) -> NDArray[np.intp]:
    """[N, n_nearest] candidates of each image's label by the distance of their latents, places [B, d]."""
    found = np.zeros((len(voters.latents), n_nearest), dtype=np.intp)
    for label in np.unique(voters.labels):
        own = np.flatnonzero(candidate_labels == label)
        mine = voters.labels == label
        chosen = cKDTree(places[own]).query(voters.latents[mine], k=n_nearest)[1]
        found[mine] = own[np.asarray(chosen).reshape(-1, n_nearest)]
    return found


def exact_votes(nearest: NDArray[np.intp], subjects: NDArray[np.str_], n_candidates: int) -> Array:
    """The histogram [n_candidates] without noise: the sum of one vector of norm 1 a subject."""
    if not len(nearest):
        return np.zeros(n_candidates)
    _, owner = np.unique(subjects, return_inverse=True)
    keys, place = np.unique(owner[:, None] * n_candidates + nearest, return_inverse=True)
    votes = np.bincount(place.ravel()).astype(np.float64)
    voter = keys // n_candidates
    norms = np.sqrt(np.bincount(voter, votes**2))
    counted = np.bincount(keys % n_candidates, votes / norms[voter], minlength=n_candidates)
    return np.asarray(counted, dtype=np.float64)


def noisy_votes(
    voters: Voters,
    places: Array,
    candidate_labels: NDArray[np.intp],
    *,
    n_nearest: int,
    noise_multiplier: float,
    step: int,
    recorder: SpendRecorder,
) -> Array:
    """One round [B], recorded before its noise is drawn."""
    nearest = nearest_candidates(voters, places, candidate_labels, n_nearest=n_nearest)
    recorder.step(StepRecord(step=step, noise_multiplier=noise_multiplier, sample_rate=1.0, phase=PHASE))
    counted = exact_votes(nearest, voters.subjects, len(places))
    return np.asarray(counted + secure_normal(counted.shape, noise_multiplier))


def weights_of(votes: Array, labels: NDArray[np.intp], *, threshold: float) -> Array:
    """Chances [B] that sum to 1 within each label: noisy votes above `threshold`; all alike where none is above."""
    kept = np.maximum(votes - threshold, 0.0)
    for label in np.unique(labels):
        mine = labels == label
        total = kept[mine].sum()
        kept[mine] = kept[mine] / total if total > 0 else 1 / mine.sum()
    return kept


def survivors(weights: Array, labels: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """As many candidates [B] of each label as it has, drawn by `weights` evenly spaced (systematic resampling)."""
    drawn = np.zeros(len(labels), dtype=np.intp)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        ticks = (np.arange(len(own)) + rng.random()) / len(own)
        drawn[own] = own[np.minimum(np.searchsorted(np.cumsum(weights[own]), ticks), len(own) - 1)]
    return drawn
