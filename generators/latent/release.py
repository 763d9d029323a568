"""The one private access of `latent-statistics`: Gaussian mechanisms on sums of per-subject contributions.

Image i of a subject with k images has a latent z, taken from the public centre of its label and clipped, |z| <= R, and
a design vector x: the one-hot label, and, scaled by g, the sex as +1 or -1 and the one-hot age group (zeros where
unknown), so |x|^2 <= X^2 = 1 + 2 g^2. One subject, whatever the number of images and whatever labels they bear,
contributes to

    A = sum (1/k) x x^T      Frobenius norm <= X^2    (label shares, group shares, which go together)
    B = sum (1/k) x z^T      Frobenius norm <= X R    (sums of latents by label and by group)
    C = sum (1/k) r r^T      Frobenius norm <= S^2    (second moments of residuals r = z - M^T x clipped to S, in the
                                                      leading latents: those that this budget can afford)
    D = sum (1/k) e r r^T    norm <= T^2              (the same a label, e its one-hot vector, r clipped to T in fewer
                                                      latents)

by the triangle inequality, since the weights 1/k sum to 1. A and B go out in one joint Gaussian mechanism; M, the
additive effects, is fitted on its output; C goes out in a second one, adaptively; D in a third; the gradients of
`latent.discriminant` in a fourth. The last two are left out where they have no share. With noise multipliers
sigma / sqrt(share), the shares of all parts summing to 1, the whole is the Gaussian mechanism of multiplier sigma.
A, C and the parts of D are symmetric and get the noise of their upper triangle with off-diagonals scaled by sqrt 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from generators.base import SpendRecorder
from generators.data import images_per_subject
from generators.latent.basis import Array, clip_norms
from generators.latent.design import Design
from generators.latent.discriminant import Descent, descend
from generators.latent.effects import fit_effects
from generators.privacy import GaussianEvent, StepRecord
from generators.secure_random import secure_normal, secure_symmetric_normal

PHASES = ("means", "covariance", "label covariances", "discriminant")
# Sums are divided by noisy counts, which may come out at nothing or below.
FEWEST_SUBJECTS = 10.0


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How the budget is split: shares of sigma^-2 that sum to 1."""

    counts: float
    sums: float
    moments: float
    label_moments: float = 0.0
    discriminant: float = 0.0

    def __post_init__(self) -> None:
        needed, spare = (self.counts, self.sums, self.moments), (self.label_moments, self.discriminant)
        if not math.isclose(sum(needed) + sum(spare), 1.0) or min(needed) <= 0 or min(spare) < 0:
            raise ValueError("shares are positive and sum to 1")

    @property
    def first(self) -> float:
        return self.counts + self.sums


@dataclass(frozen=True, kw_only=True)
class Release:
    """The noisy statistics and the standard deviations of their noise, which are public."""

    design: Array  # A [p, p]
    sums: Array  # B [p, d]
    moments: Array  # C [m, m]
    label_moments: Array  # D [labels, l, l], l = 0 where it was not paid for
    effects: Array  # M [p, d], fitted on A and B
    weights: Array  # W [d, labels], zeros where no descent was paid for
    leading: NDArray[np.intp]  # [m]: the latents that C is about
    of_labels: NDArray[np.intp]  # [l]: the latents that D is about
    sums_noise: float
    moments_noise: float
    label_moments_noise: float

    @property
    def n_subjects(self) -> float:
        """About how many subjects there are, by noisy counts of labels: FEWEST_SUBJECTS where noise leaves fewer."""
        n_labels = self.weights.shape[1]
        return max(float(np.trace(self.design[:n_labels, :n_labels])), FEWEST_SUBJECTS)

    @property
    def tensors(self) -> dict[str, NDArray[np.generic]]:
        noise = np.array([self.sums_noise, self.moments_noise, self.label_moments_noise])
        return {
            "design": self.design,
            "sums": self.sums,
            "moments": self.moments,
            "label_moments": self.label_moments,
            "effects": self.effects,
            "weights": self.weights,
            "leading": self.leading,
            "of_labels": self.of_labels,
            "noise": noise,
        }


@dataclass(frozen=True, kw_only=True)
class PrivateLatents:
    """latents [N, d] (not yet clipped), design rows [N, p] and subject of each image.

    centres [labels, d]: public means, from which latents are taken before they are clipped.
    """

    latents: Array
    rows: Array
    subjects: NDArray[np.str_]
    centres: Array

    def clipped(self, radius: float) -> Array:
        """Latents [N, d] around the centre of their label, clipped."""
        return clip_norms(self.latents - self.rows[:, : len(self.centres)] @ self.centres, radius)

    @property
    def weights(self) -> Array:
        """1/k for each image of a subject with k images."""
        return np.asarray(1.0 / images_per_subject(self.subjects))


def exact_design(data: PrivateLatents) -> Array:
    """A without noise."""
    return np.asarray((data.rows * data.weights[:, None]).T @ data.rows)


def exact_sums(data: PrivateLatents, radius: float) -> Array:
    """B without noise."""
    return np.asarray((data.rows * data.weights[:, None]).T @ data.clipped(radius))


def exact_moments(data: PrivateLatents, effects: Array, *, bounds: Bounds) -> Array:
    """C without noise."""
    residuals = _residuals(data, effects, bounds, bounds.leading, bounds.residual_radius)
    return np.asarray((residuals * data.weights[:, None]).T @ residuals)


def exact_label_moments(data: PrivateLatents, effects: Array, *, bounds: Bounds) -> Array:
    """D without noise."""
    residuals = _residuals(data, effects, bounds, bounds.of_labels, bounds.label_radius)
    of_label = (data.rows[:, : len(data.centres)] * data.weights[:, None]).T
    return np.stack([(residuals * share[:, None]).T @ residuals for share in of_label])


def _residuals(data: PrivateLatents, effects: Array, bounds: Bounds, places: NDArray[np.intp], radius: float) -> Array:
    residuals = data.clipped(bounds.radius) - data.rows @ effects
    return clip_norms(residuals[:, places], radius)


def planned_events(noise_multiplier: float, shares: Shares) -> tuple[GaussianEvent, ...]:
    """The mechanisms, in order; the later ones only where they have a share."""
    parts = (shares.first, shares.moments, shares.label_moments, shares.discriminant)
    return tuple(_event(noise_multiplier, share) for share in parts if share)


def _event(noise_multiplier: float, share: float) -> GaussianEvent:
    return GaussianEvent(noise_multiplier=noise_multiplier / math.sqrt(share), sample_rate=1.0, steps=1)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a subject's contribution is clipped to, and which latents have their second moments released.

    radius: of latents. residual_radius: of the residuals of the latents that `leading` names (positions [m]).
    label_radius: of those that `of_labels` names. spread [d]: the public deviation of each latent. public_n_subjects:
    the declared number, which gradients are divided by.
    """

    radius: float
    residual_radius: float
    leading: NDArray[np.intp]
    spread: Array
    public_n_subjects: int
    label_radius: float = 0.0
    of_labels: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


def release(
    data: PrivateLatents,
    *,
    design: Design,
    bounds: Bounds,
    noise_multiplier: float,
    shares: Shares,
    recorder: SpendRecorder,
    first_step: int = 0,
    phases: tuple[str, str, str, str] = PHASES,
) -> Release:
    """Draw the noisy statistics once. Each mechanism is recorded, as `phases`, before its noise is drawn."""
    log = _Log(recorder, first_step)
    multiplier = noise_multiplier * design.norm
    sums_noise = multiplier * bounds.radius / math.sqrt(shares.sums)
    log.record(phases[0], noise_multiplier, shares.first)
    counted = exact_design(data) + secure_symmetric_normal(
        design.size, multiplier * design.norm / math.sqrt(shares.counts)
    )
    counted = np.where(design.may_meet(), counted, 0.0)
    summed = exact_sums(data, bounds.radius)
    summed = summed + secure_normal(summed.shape, sums_noise)
    effects = fit_effects(counted, summed, sums_noise=sums_noise, design=design, spread=bounds.spread)
    log.record(phases[1], noise_multiplier, shares.moments)
    moments_noise = noise_multiplier * bounds.residual_radius**2 / math.sqrt(shares.moments)
    moments = exact_moments(data, effects, bounds=bounds)
    moments = moments + secure_symmetric_normal(len(bounds.leading), moments_noise)
    label_moments, label_noise = np.zeros((design.n_labels, 0, 0)), 0.0
    if shares.label_moments:
        log.record(phases[2], noise_multiplier, shares.label_moments)
        label_noise = noise_multiplier * bounds.label_radius**2 / math.sqrt(shares.label_moments)
        exact = exact_label_moments(data, effects, bounds=bounds)
        label_moments = np.stack([own + secure_symmetric_normal(len(own), label_noise) for own in exact])
    weights = np.zeros((data.latents.shape[1], design.n_labels))
    if shares.discriminant:
        event = log.record(phases[3], noise_multiplier, shares.discriminant)
        weights = _noisy_weights(data, effects, event, design=design, bounds=bounds)
    return Release(
        design=counted,
        sums=summed,
        moments=moments,
        label_moments=label_moments,
        effects=effects,
        weights=weights,
        leading=bounds.leading,
        of_labels=bounds.of_labels,
        sums_noise=sums_noise,
        moments_noise=moments_noise,
        label_moments_noise=label_noise,
    )


class _Log:
    """Records one mechanism after another."""

    def __init__(self, recorder: SpendRecorder, first_step: int) -> None:
        self._recorder, self._step = recorder, first_step

    def record(self, phase: str, noise_multiplier: float, share: float) -> GaussianEvent:
        event = _event(noise_multiplier, share)
        self._recorder.step(
            StepRecord(
                step=self._step, noise_multiplier=event.noise_multiplier, sample_rate=event.sample_rate, phase=phase
            )
        )
        self._step += 1
        return event


def _noisy_weights(
    data: PrivateLatents, effects: Array, event: GaussianEvent, *, design: Design, bounds: Bounds
) -> Array:
    """A linear classifier of the labels, of latents centred on the released means."""
    centre = (data.centres + effects[: design.n_labels]).mean(axis=0)
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
