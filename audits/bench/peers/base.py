"""What peers share: the job, the answer, and images in and out as tensors in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audits.bench.peers.settings import PeerSettings
from generators.conditions import even_counts
from generators.data import ImageSet
from generators.networks.tensors import image_tensor, pick_device
from generators.privacy import GaussianEvent, PrivacyBudget

DRAWN_AT_ONCE = 128


@dataclass(frozen=True, kw_only=True)
class PeerJob:
    """What a peer is given: the training arm, its budget, and how many images to draw."""

    images: ImageSet
    budget: PrivacyBudget
    n_images: int
    seed: int
    device: str

    @property
    def labels(self) -> list[str]:
        """The vocabulary, public as for the other rows."""
        return sorted(set(self.images.label.tolist()))  # type: ignore[union-attr]  # the benchmark wants labels

    def torch_device(self) -> torch.device:
        return pick_device(self.device)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """draw: labels [n] to images [n, C, S, S] in [-1, 1]. events: all that was asked of private images."""

    draw: Callable[[Tensor], Tensor]
    events: Sequence[GaussianEvent]


class Peer(Protocol):
    """One published recipe."""

    def train(self, job: PeerJob, settings: PeerSettings) -> Trained:
        """Train within the job's budget. Raises GeneratorError."""


@dataclass(frozen=True, kw_only=True)
class PeerData:
    """images [N, C, S, S] in [-1, 1] and labels [N] on one device; rows: those of each subject."""

    images: Tensor
    labels: Tensor
    rows: Sequence[NDArray[np.intp]]

    @classmethod
    def of(cls, job: PeerJob) -> PeerData:
        device = job.torch_device()
        owner = np.unique(job.images.subjects(), return_inverse=True)[1]
        order = np.argsort(owner, kind="stable")
        return cls(
            images=(image_tensor(job.images) * 2 - 1).to(device),
            labels=torch.tensor([job.labels.index(word) for word in job.images.label]).to(device),  # type: ignore[union-attr]  # as above
            rows=np.split(order, np.cumsum(np.bincount(owner))[:-1]),
        )

    def one_each(self, subjects: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """One image of each of the subjects, drawn anew: which one is no secret that the guarantee rests on."""
        rng = np.random.default_rng()
        chosen = torch.tensor([int(rng.choice(self.rows[subject])) for subject in subjects], dtype=torch.long)
        chosen = chosen.to(self.images.device)
        return self.images[chosen], self.labels[chosen]


def image_set(job: PeerJob, draw: Callable[[Tensor], Tensor]) -> ImageSet:
    """The job's images in equal parts over the labels, stored as the training images are."""
    counts = even_counts(job.labels, job.n_images)
    numbers = torch.tensor([no for no, count in enumerate(counts) for _ in range(count.n)])
    parts = [draw(part.to(job.torch_device())).cpu() for part in torch.split(numbers, DRAWN_AT_ONCE)]
    unit = ((torch.cat(parts) + 1) / 2).nan_to_num(0.0).clamp(0, 1).movedim(1, -1).numpy()
    levels = np.round(unit * job.images.max_value)
    levels = levels[..., 0] if job.images.channels == 1 else levels
    images = levels.astype(np.uint8) if job.images.bit_depth == 8 else levels.astype(np.uint16)
    return ImageSet(images=images, label=np.array(job.labels)[numbers.numpy()], bits=job.images.bits)
