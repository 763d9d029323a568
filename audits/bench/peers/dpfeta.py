"""`peer-dpfeta`: diffusion warmed up on noisy central images, then DPDM (Li et al. 2025, DP-FETA).

The published release divides each class's sum by its true count, which leaks. Here every subject gives one vector: one
image, clipped, in its label's place, and a one in its label's count; both carry noise, and the mean is their quotient.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from audits.bench.peers.base import PeerData, PeerJob, Trained
from audits.bench.peers.dpdm import finish, make_unet
from audits.bench.peers.opacus_loop import OpacusLoop
from audits.bench.peers.settings import DpFetaSettings, PeerSettings
from audits.bench.peers.unet import diffusion_losses
from generators.accounting import noise_multiplier_for
from generators.privacy import GaussianEvent
from generators.secure_random import secure_normal, secure_poisson_draw

# The count's part of a subject's vector, beside an image of norm at most 1.
COUNT_WEIGHT = 0.3
BATCH = 32


class DpFeta:
    """The recipe (see the module)."""

    def train(self, job: PeerJob, settings: PeerSettings) -> Trained:
        """See `Peer`."""
        assert isinstance(settings, DpFetaSettings)  # noqa: S101 - built from this class
        event = central_event(job, settings)
        central, labels = central_images(
            PeerData.of(job), event, n_labels=len(job.labels), n_public=job.budget.public_n_subjects
        )
        network = make_unet(job, settings)
        optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        for _ in range(settings.warmup_steps):
            rows = torch.randint(len(central), (min(BATCH, len(central)),), device=central.device)
            optimizer.zero_grad()
            loss = diffusion_losses(network, central[rows], labels[rows], n_labels=len(job.labels), views=1).mean()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loop = OpacusLoop(network, job, settings, already=(event,))
        return finish(loop, job, settings)


def central_event(job: PeerJob, settings: DpFetaSettings) -> GaussianEvent:
    """The noise with which all central images together spend their share of epsilon."""
    budget = job.budget
    noise = noise_multiplier_for(
        target_epsilon=budget.target_epsilon * settings.central_share,
        delta=budget.target_delta,
        sample_rate=settings.central_rate,
        steps=settings.n_central,
        accountant=budget.accountant,
    )
    return GaussianEvent(noise_multiplier=noise, sample_rate=settings.central_rate, steps=settings.n_central)


def central_images(data: PeerData, event: GaussianEvent, *, n_labels: int, n_public: int) -> tuple[Tensor, Tensor]:
    """Noisy means [n_central * n_labels, C, S, S] in [-1, 1] and their labels, each round on a draw of its own.

    A subject's vector has norm sqrt(1 + COUNT_WEIGHT^2) at most: its image in [-1, 1] over sqrt(pixels), and the count.
    """
    size = data.images[0].numel()
    std = event.noise_multiplier * math.sqrt(1 + COUNT_WEIGHT**2)
    least = max(1.0, 0.1 * event.sample_rate * n_public / n_labels)
    found = []
    for _ in range(event.steps):
        drawn = np.flatnonzero(secure_poisson_draw(len(data.rows), event.sample_rate))
        images, labels = data.one_each(drawn)
        place = torch.nn.functional.one_hot(labels, n_labels).float()
        sums = place.T @ (images.flatten(1) / math.sqrt(size)) + _noise((n_labels, size), std, data.images)
        counts = place.sum(0) + _noise((n_labels,), std / COUNT_WEIGHT, data.images)
        means = sums * math.sqrt(size) / counts.clamp_min(least)[:, None]
        found.append(means.clamp(-1, 1).reshape(n_labels, *data.images.shape[1:]))
    return torch.cat(found), torch.arange(n_labels, device=data.images.device).repeat(event.steps)


def _noise(shape: tuple[int, ...], std: float, like: Tensor) -> Tensor:
    return torch.from_numpy(secure_normal(shape, std)).to(like)
