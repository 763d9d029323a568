"""A detector taught on private real images with differential privacy: one noisy mean, charged before it is drawn.

Features of the released synthetic images give, without any private image, a frame: their leading components, whitened,
and a radius R. Image i of a subject with k images has z, its deviation in that frame over R, clipped to norm 1. The
subject's whole contribution is

    sum (1/k) (z, w)      norm <= sqrt(1 + w^2)

by the triangle inequality, whatever the number of images. Sum and count are one Gaussian mechanism of that sensitivity;
the detector is the line from the noisy mean of real images to that of the synthetic ones (a linear discriminant, whose
covariance the frame has made the identity). Everything after the noise is free.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from audits.base import AuditError
from audits.detectors.detector import Detector, Linear
from audits.detectors.looks import features_of
from audits.detectors.teaching import MAX_TAUGHT, card_of, refuse_mismatch
from audits.pixels import Floats, Greys, GreyView
from audits.sampling import at_most
from audits.stats import Doubles
from generators.accounting import release_noise, spend_of
from generators.base import SpendRecorder
from generators.data import ImageSet, images_per_subject
from generators.latent.basis import clip_norms
from generators.privacy import GaussianEvent, PrivacyBudget, StepRecord
from generators.secure_random import secure_normal
from generators.steps_log import Recorders, StepsLog

PHASE = "detector"
N_COMPONENTS = 32
COUNT_WEIGHT = 0.3
RADIUS_QUANTILE = 0.9
NOTE = "taught on one noisy mean of private images; synthetic images are taken to be released already"


@dataclass(frozen=True, kw_only=True)
class Frame:
    """mean, scale: [D], of synthetic features; basis: [D, d], whitened; radius: to which deviations are clipped."""

    mean: Doubles
    scale: Doubles
    basis: Doubles
    radius: float

    @classmethod
    def of(cls, features: Floats) -> Frame:
        """The frame of synthetic features [N, D]."""
        mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64) + 1e-6
        _, spread, axes = np.linalg.svd((features - mean) / scale, full_matrices=False)
        basis = axes[:N_COMPONENTS].T / (spread[:N_COMPONENTS] / np.sqrt(len(features)) + 1e-6)
        norms = np.linalg.norm((features - mean) / scale @ basis, axis=1)
        return cls(mean=mean, scale=scale, basis=basis, radius=float(np.quantile(norms, RADIUS_QUANTILE)))

    def deviations(self, features: Floats) -> Doubles:
        """[N, d] over the radius, of norm 1 at most."""
        return clip_norms((features - self.mean) / self.scale @ self.basis / self.radius, 1.0)


def taught_privately(
    synthetic: ImageSet,
    real: ImageSet,
    *,
    budget: PrivacyBudget,
    out: Path,
    seed: int,
    recorder: SpendRecorder | None = None,
) -> Detector:
    """Taught on all of `real`; the whole budget is reserved and charged in `out/steps.log`, and told to `recorder`.

    Raises AuditError where subjects are unknown, where the folder was charged already, and as `taught_on_public`.
    """
    if not budget.is_private:
        raise AuditError("is none", where="accountant", remedy="a detector that leaves the site needs noise")
    if real.privacy_unit != "subject":
        raise AuditError("subjects are unknown", where="train", remedy="name the subject of each image")
    if any(out.iterdir()):
        raise AuditError("is not empty", where=str(out), remedy="name a new folder: each release is charged anew")
    refuse_mismatch(synthetic, real, where="train")
    frame = Frame.of(features_of(_view(at_most(synthetic, MAX_TAUGHT, seed=seed))))
    noise = release_noise(budget)
    event = GaussianEvent(noise_multiplier=noise, sample_rate=1.0, steps=1)
    spend = spend_of([event], delta=budget.target_delta, accountant=budget.accountant, privacy_unit="subject")
    told = Recorders([StepsLog(out), *([] if recorder is None else [recorder])])
    told.reserve(spend)
    exact = _contributions(real, frame)
    told.step(StepRecord(step=0, noise_multiplier=noise, sample_rate=1.0, phase=PHASE))
    noisy = exact + secure_normal(exact.shape, noise * math.sqrt(1 + COUNT_WEIGHT**2))
    told.settle(spend)
    card = card_of(synthetic, taught_on="private", seed=seed, spend=asdict(spend), notes=(NOTE,))
    return Detector(card=card, judge=_line(noisy, frame))


def _contributions(real: ImageSet, frame: Frame) -> Doubles:
    """[d + 1]: the sum over subjects, without noise."""
    deviations = frame.deviations(features_of(_view(real)))
    rows = np.column_stack([deviations, np.full(len(real), COUNT_WEIGHT)])
    return np.asarray((rows / images_per_subject(real.subjects())[:, None]).sum(axis=0))


def _line(noisy: Doubles, frame: Frame) -> Linear:
    """From the noisy mean of real images to that of synthetic ones, which lies at zero; even odds in the middle."""
    real = frame.radius * noisy[:-1] / max(noisy[-1] / COUNT_WEIGHT, 1.0)
    return Linear(
        mean=frame.mean,
        scale=frame.scale,
        weights=-(frame.basis @ real),
        intercept=np.array([real @ real / 2]),
    )


def _view(images: ImageSet) -> Greys:
    return GreyView(sets=(images,), white=images.max_value)
