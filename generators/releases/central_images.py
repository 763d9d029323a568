"""Central images: one noisy release of each label's mean image, which a diffusion network is warmed up on.

The idea is DP-FETA's (Li et al. 2025); the sensitivity is not. A mean over a label's images divided by their true
number reveals that number, and a person with many images moves it more than one with few. Here image i of a subject
with k images has r, its deviation from the public mean image at a coarse side, scaled by the public radius R and
clipped to norm 1, and its label's one-hot vector e. The subject's whole contribution is

    sum (1/k) e (r, w)      norm <= sqrt(1 + w^2)

by the triangle inequality, whatever the number of images and whatever labels they bear: sums and counts of all labels
together are one Gaussian mechanism of that sensitivity. Everything after its noise is free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from generators.base import Run
from generators.data import images_per_subject
from generators.latent.basis import Array, clip_norms
from generators.privacy import StepRecord
from generators.secure_random import secure_normal

PHASE = "warm-up"
# The weight of counts against sums: w^2 of 1 + w^2 of the budget. Counts are few and need little.
COUNT_WEIGHT = 0.3
RADIUS_QUANTILE = 0.9
# A label with fewer noisy subjects than this many deviations of their noise counts as this many.
LEAST_DEVIATIONS = 2.0


@dataclass(frozen=True, kw_only=True)
class PublicFrame:
    """mean [C, s, s]: the public mean image at the coarse side; radius: the norm that a deviation is clipped to."""

    mean: Tensor
    radius: float

    @classmethod
    def of(cls, public: Tensor, side: int) -> PublicFrame:
        """The frame of public images [n, C, S, S] in [0, 1]; a side beyond their own is their own."""
        coarse = coarsen(public, side)
        mean = coarse.mean(0)
        norms = (coarse - mean).flatten(1).norm(dim=1)
        return cls(mean=mean, radius=max(float(torch.quantile(norms, RADIUS_QUANTILE)), 1e-6))

    def deviations(self, images: Tensor) -> Array:
        """[N, d] of images [N, C, S, S]: deviations over the radius, norm at most 1."""
        coarse = coarsen(images, self.mean.shape[-1])
        flat = (coarse - self.mean).flatten(1).double().numpy() / self.radius
        return clip_norms(flat, 1.0)


@dataclass(frozen=True, kw_only=True)
class CentralImages:
    """What was released: sums [L, d] of deviations in units of the radius, counts [L], and their noise's deviation."""

    sums: Array
    counts: Array
    sums_noise: float
    counts_noise: float

    @property
    def tensors(self) -> dict[str, NDArray[np.generic]]:
        noise = np.array([self.sums_noise, self.counts_noise])
        return {"sums": self.sums, "counts": self.counts, "noise": noise}

    @classmethod
    def of_tensors(cls, tensors: dict[str, NDArray[np.generic]]) -> CentralImages:
        values = {name: value.astype(np.float64) for name, value in tensors.items()}
        sums_noise, counts_noise = values["noise"].tolist()
        return cls(sums=values["sums"], counts=values["counts"], sums_noise=sums_noise, counts_noise=counts_noise)


def coarsen(images: Tensor, side: int) -> Tensor:
    """Images [n, C, S, S] averaged down to at most that side."""
    return adaptive_avg_pool2d(images, min(side, images.shape[-1]))


def exact_sums(deviations: Array, labels: NDArray[np.intp], subjects: NDArray[np.str_], n_labels: int) -> Array:
    """[L, d + 1]: sums of (1/k) (r, w) by label, without noise."""
    counted = np.column_stack([deviations, np.full(len(deviations), COUNT_WEIGHT)])
    rows = counted / images_per_subject(subjects)[:, None]
    one_hot = np.eye(n_labels)[labels]
    return np.asarray(one_hot.T @ rows)


def release_central_images(
    run: Run, images: Tensor, labels: NDArray[np.intp], frame: PublicFrame, *, n_labels: int, noise_multiplier: float
) -> CentralImages:
    """Draw the noisy sums and counts once, recorded before their noise is drawn. The caller has reserved them."""
    exact = exact_sums(frame.deviations(images), labels, run.images.subjects(), n_labels)
    run.recorder.step(StepRecord(step=0, noise_multiplier=noise_multiplier, sample_rate=1.0, phase=PHASE))
    std = noise_multiplier * math.sqrt(1 + COUNT_WEIGHT**2)
    noisy = exact + secure_normal(exact.shape, std)
    return CentralImages(
        sums=noisy[:, :-1], counts=noisy[:, -1] / COUNT_WEIGHT, sums_noise=std, counts_noise=std / COUNT_WEIGHT
    )


def label_shifts(released: CentralImages, frame: PublicFrame) -> Tensor:
    """[L, C, s, s]: how each label's mean image differs from the public one, from noisy values alone.

    The shift that all labels share and each label's own are shrunk apart, so that an empty or rare label falls back
    to what the labels share and not to noise.
    """
    counts, n_labels = np.maximum(released.counts, 0.0), len(released.counts)
    floor = max(LEAST_DEVIATIONS * released.counts_noise, 1.0)
    total = max(float(counts.sum()), floor * math.sqrt(n_labels))
    shared = _shrunk(released.sums.sum(0) / total, released.sums_noise * math.sqrt(n_labels) / total)
    shifts = np.tile(shared, (n_labels, 1))
    if n_labels > 1:
        own = released.sums - counts[:, None] * shared
        shifts += np.stack(
            [_shrunk(row / n, released.sums_noise / n) for row, n in zip(own, np.maximum(counts, floor), strict=True)]
        )
    return torch.from_numpy((shifts * frame.radius).astype(np.float32)).reshape(n_labels, *frame.mean.shape)


def _shrunk(mean: Array, noise: float) -> Array:
    """James and Stein's positive-part estimate of a mean observed with noise of that deviation."""
    energy = float(np.square(mean).sum())
    return np.asarray(mean * max(0.0, 1 - noise**2 * len(mean) / max(energy, 1e-12)))


def moved_images(
    public: Tensor, known: NDArray[np.intp], shifts: Tensor, frame: PublicFrame, *, seed: int
) -> tuple[Tensor, NDArray[np.intp]]:
    """Public images [n, C, S, S] moved to the noisy mean of a label, and that label [n].

    known [n]: each image's own label, -1 where the vocabulary lacks it. Such an image is given any label; the others
    keep theirs and are moved by what sets their public mean apart from the noisy one.
    """
    labels = np.where(known >= 0, known, np.random.default_rng(seed).integers(len(shifts), size=len(known)))
    coarse = coarsen(public, shifts.shape[-1])
    move = shifts[torch.from_numpy(labels)]
    for label in np.unique(known[known >= 0]):
        own = torch.from_numpy(known == label)
        move[own] = move[own] - (coarse[own].mean(0) - frame.mean)
    fine = interpolate(move, size=public.shape[-1], mode="bilinear", align_corners=False)
    return (public + fine).clamp(0, 1), labels
