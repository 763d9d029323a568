"""The one private access of `detail.matching`: a Gaussian mechanism on what a subject's images look like on average.

Image i of a subject with k images is described by a row u (`detail.look`), clipped to |u| <= S, a declared norm. One
subject, whatever the number of images, contributes

    sum (1/k) u        norm <= S

by the triangle inequality, since the weights 1/k sum to 1. The sum is noised and divided by the noisy number of
subjects that the release of means has given, so nothing else is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.base import SpendRecorder
from generators.data import images_per_subject
from generators.latent.basis import Array, clip_norms
from generators.privacy import GaussianEvent, StepRecord
from generators.secure_random import secure_normal

PHASE = "spectrum"


@dataclass(frozen=True, kw_only=True)
class MeanLook:
    """mean [k]: of the clipped rows; noise: the deviation of each entry; both public once released."""

    mean: Array
    noise: float


def subject_sum(rows: Array, subjects: NDArray[np.str_], radius: float) -> Array:
    """The sum over subjects of their contributions [k], without noise. rows [N, k] and subjects [N] go together."""
    return np.asarray((clip_norms(rows, radius) / images_per_subject(subjects)[:, None]).sum(axis=0))


def release_look(
    rows: Array,
    subjects: NDArray[np.str_],
    *,
    radius: float,
    n_noisy: float,
    event: GaussianEvent,
    recorder: SpendRecorder,
    step: int,
) -> MeanLook:
    """The mean row [k] of about `n_noisy` subjects (`Release.n_subjects`).

    It is recorded, as PHASE, before its noise is drawn.
    """
    recorder.step(
        StepRecord(step=step, noise_multiplier=event.noise_multiplier, sample_rate=event.sample_rate, phase=PHASE)
    )
    std = event.noise_multiplier * radius
    noisy = subject_sum(rows, subjects, radius) + secure_normal((rows.shape[1],), std)
    return MeanLook(mean=noisy / n_noisy, noise=std / n_noisy)
