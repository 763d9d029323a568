"""The one private access of `latent-statistics`: Gaussian mechanisms on sums of per-subject contributions.

Image i of a subject with k images has a clipped latent z, |z| <= R, and a design vector x: the one-hot label, and,
scaled by g, the sex as +1 or -1 and the one-hot age group (zeros where unknown), so |x|^2 <= X^2 = 1 + 2 g^2.
One subject, whatever the number of images and whatever labels they bear, contributes to

    A = sum (1/k) x x^T      Frobenius norm <= X^2    (label shares, group shares, which go together)
    B = sum (1/k) x z^T      Frobenius norm <= X R    (sums of latents by label and by group)
    C = sum (1/k) r r^T      Frobenius norm <= S^2    (second moments of residuals r = z - M^T x clipped to S, in the
                                                      leading latents: those that this budget can afford)

by the triangle inequality, since the weights 1/k sum to 1. A and B go out in one joint Gaussian mechanism; M, the
additive effects, is fitted on its output; C goes out in a second one, adaptively; the gradients of
`latent.discriminant` in a third. With noise multipliers sigma / sqrt(share), the shares of all parts summing to 1, the
whole is the Gaussian mechanism of multiplier sigma.
A and C are symmetric and get the noise of their upper triangle with off-diagonals scaled by sqrt 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.base import SpendRecorder
from generators.conditions import Vocabulary
from generators.latent.basis import Array, clip_norms
from generators.latent.discriminant import Descent, descend
from generators.privacy import GaussianEvent, StepRecord
from generators.secure_random import secure_normal, secure_symmetric_normal

PHASES = ("means", "covariance", "discriminant")


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How the budget is split: shares of sigma^-2 that sum to 1."""

    counts: float
    sums: float
    moments: float
    discriminant: float = 0.0

    def __post_init__(self) -> None:
        total = self.counts + self.sums + self.moments + self.discriminant
        if not math.isclose(total, 1.0) or min(self.counts, self.sums, self.moments) <= 0 or self.discriminant < 0:
            raise ValueError("shares are positive and sum to 1")

    @property
    def first(self) -> float:
        return self.counts + self.sums


@dataclass(frozen=True, kw_only=True)
class Design:
    """How conditions become design vectors: p = labels + sex + age groups entries."""

    vocabulary: Vocabulary
    group_weight: float

    @property
    def n_labels(self) -> int:
        return len(self.vocabulary.labels)

    @property
    def size(self) -> int:
        return self.n_labels + bool(self.vocabulary.sexes) + len(self.vocabulary.age_groups)

    @property
    def norm(self) -> float:
        """The bound X on the norm of a design vector."""
        n_groups = bool(self.vocabulary.sexes) + bool(self.vocabulary.age_groups)
        return math.sqrt(1 + n_groups * self.group_weight**2)

    def rows(self, numbers: NDArray[np.intp]) -> Array:
        """Design vectors [N, p] of `Vocabulary.numbers`."""
        n_labels, has_sex = len(self.vocabulary.labels), bool(self.vocabulary.sexes)
        rows = np.zeros((len(numbers), self.size))
        index = np.arange(len(numbers))
        rows[index, numbers[:, 0]] = 1.0
        if has_sex:
            rows[:, n_labels] = self.group_weight * np.choose(numbers[:, 1] + 1, (0.0, 1.0, -1.0))
        known = numbers[:, 2] >= 0
        rows[index[known], n_labels + has_sex + numbers[known, 2]] = self.group_weight
        return rows

    def may_meet(self) -> NDArray[np.bool_]:
        """[p, p]: whether two entries can both be non-zero in one image; the rest of A is 0 and publicly so."""
        block = np.array(
            [0] * len(self.vocabulary.labels)
            + [1] * bool(self.vocabulary.sexes)
            + [2] * len(self.vocabulary.age_groups)
        )
        return np.asarray((block[:, None] != block[None, :]) | np.eye(self.size, dtype=bool))


@dataclass(frozen=True, kw_only=True)
class Release:
    """The noisy statistics and the standard deviations of their noise, which are public."""

    design: Array  # A [p, p]
    sums: Array  # B [p, d]
    moments: Array  # C [m, m]
    effects: Array  # M [p, d], fitted on A and B
    weights: Array  # W [d, labels], zeros where no descent was paid for
    leading: NDArray[np.intp]  # [m]: the latents that C is about
    sums_noise: float
    moments_noise: float

    @property
    def tensors(self) -> dict[str, NDArray[np.generic]]:
        noise = np.array([self.sums_noise, self.moments_noise])
        return {
            "design": self.design,
            "sums": self.sums,
            "moments": self.moments,
            "effects": self.effects,
            "weights": self.weights,
            "leading": self.leading,
            "noise": noise,
        }


@dataclass(frozen=True, kw_only=True)
class PrivateLatents:
    """latents [N, d] (not yet clipped), design rows [N, p] and subject of each image."""

    latents: Array
    rows: Array
    subjects: NDArray[np.str_]

    @property
    def weights(self) -> Array:
        """1/k for each image of a subject with k images."""
        _, index, n_images = np.unique(self.subjects, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / n_images[index])


def exact_design(data: PrivateLatents) -> Array:
    """A without noise."""
    return np.asarray((data.rows * data.weights[:, None]).T @ data.rows)


def exact_sums(data: PrivateLatents, radius: float) -> Array:
    """B without noise."""
    return np.asarray((data.rows * data.weights[:, None]).T @ clip_norms(data.latents, radius))


def exact_moments(data: PrivateLatents, effects: Array, *, bounds: Bounds) -> Array:
    """C without noise."""
    residuals = clip_norms(data.latents, bounds.radius) - data.rows @ effects
    residuals = clip_norms(residuals[:, bounds.leading], bounds.residual_radius)
    return np.asarray((residuals * data.weights[:, None]).T @ residuals)


def planned_events(noise_multiplier: float, shares: Shares) -> tuple[GaussianEvent, ...]:
    """The mechanisms, in order; the descent only where it has a share."""
    parts = (shares.first, shares.moments, shares.discriminant)
    return tuple(
        GaussianEvent(noise_multiplier=noise_multiplier / math.sqrt(share), sample_rate=1.0, steps=1)
        for share in parts
        if share
    )


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a subject's contribution is clipped to, and which latents have their second moments released.

    radius: of latents. residual_radius: of the residuals of the latents that `leading` names (positions [m]).
    public_n_subjects: the declared number, which gradients are divided by.
    """

    radius: float
    residual_radius: float
    leading: NDArray[np.intp]
    public_n_subjects: int


def release(
    data: PrivateLatents,
    *,
    design: Design,
    bounds: Bounds,
    noise_multiplier: float,
    shares: Shares,
    recorder: SpendRecorder,
    first_step: int = 0,
    phases: tuple[str, str, str] = PHASES,
) -> Release:
    """Draw the noisy statistics once. Each mechanism is recorded, as `phases`, before its noise is drawn."""
    events = planned_events(noise_multiplier, shares)
    norm, radius = design.norm, bounds.radius
    design_noise = noise_multiplier * norm**2 / math.sqrt(shares.counts)
    sums_noise = noise_multiplier * norm * radius / math.sqrt(shares.sums)
    _record(recorder, first_step, events[0], phases[0])
    counted = exact_design(data) + secure_symmetric_normal(design.size, design_noise)
    counted = np.where(design.may_meet(), counted, 0.0)
    summed = exact_sums(data, radius)
    summed = summed + secure_normal(summed.shape, sums_noise)
    effects = fit_effects(counted, summed, sums_noise=sums_noise, design=design)
    _record(recorder, first_step + 1, events[1], phases[1])
    moments_noise = noise_multiplier * bounds.residual_radius**2 / math.sqrt(shares.moments)
    moments = exact_moments(data, effects, bounds=bounds)
    moments = moments + secure_symmetric_normal(len(bounds.leading), moments_noise)
    weights = np.zeros((data.latents.shape[1], design.n_labels))
    if shares.discriminant:
        _record(recorder, first_step + 2, events[2], phases[2])
        weights = _noisy_weights(data, effects, events[2], design=design, bounds=bounds)
    return Release(
        design=counted,
        sums=summed,
        moments=moments,
        effects=effects,
        weights=weights,
        leading=bounds.leading,
        sums_noise=sums_noise,
        moments_noise=moments_noise,
    )


def _noisy_weights(
    data: PrivateLatents, effects: Array, event: GaussianEvent, *, design: Design, bounds: Bounds
) -> Array:
    """A linear classifier of the labels, of latents centred on the released means."""
    centre = effects[: design.n_labels].mean(axis=0)
    plan = Descent.planned(
        event,
        n_latents=data.latents.shape[1],
        n_labels=design.n_labels,
        public_n_subjects=bounds.public_n_subjects,
    )
    return descend(
        clip_norms(data.latents, bounds.radius) - centre,
        data.rows[:, : design.n_labels].argmax(axis=1),
        data.subjects,
        plan=plan,
        n_labels=design.n_labels,
        public_n_subjects=bounds.public_n_subjects,
    )


def _record(recorder: SpendRecorder, step: int, event: GaussianEvent, phase: str) -> None:
    recorder.step(
        StepRecord(step=step, noise_multiplier=event.noise_multiplier, sample_rate=event.sample_rate, phase=phase)
    )


def fit_effects(counted: Array, summed: Array, *, sums_noise: float, design: Design) -> Array:
    """The additive effects M [p, d] for which A M is about B: the posterior mean under a Gaussian prior.

    A label's mean has prior deviation 1 around the public mean, in units of the latent's scale, a group's effect 0.3:
    an empty label falls back to the public mean and a rare group to no effect. Computed from noisy values alone.
    """
    prior = np.full(design.size, 1.0)
    prior[len(design.vocabulary.labels) :] = 0.3 / design.group_weight
    counted = positive_part(counted, floor=0.0)
    within = max(float(np.trace(counted)) / design.norm**2, 1.0)  # the sampling variance of B is about one a person
    variance = sums_noise**2 + within / design.size
    return np.asarray(np.linalg.solve(counted @ counted / variance + np.diag(prior**-2.0), counted @ summed / variance))


def positive_part(matrix: Array, *, floor: float) -> Array:
    """The symmetric matrix with eigenvalues below `floor` raised to it."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)
