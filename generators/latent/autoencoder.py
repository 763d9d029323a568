"""An autoencoder of public images: principal directions encode, and a network adds to what they decode.

Latents are those of `basis.fit_basis`, with its scale and radius, so whatever is released of them means the same as
with `pca`. What the directions cannot express is foretold from the latent by a convolutional network, as far as it can
be, and added outside of them: an image decoded and encoded again has the latent that it was drawn with, exactly.
The encoder stays linear: with a network in its place, too, drawn images told findings apart worse, AUC .756 against
.786 of `pca` (`cxr_nih_1000` at epsilon 8, one run of each).

Public images alone are looked at, half of them moved, bent, lit otherwise (`detail.views`), since hospitals differ. An
eighth is held out, and the network speaks as loudly as those bear out: one that learned nothing leaves `pca`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generators.base import Progress, no_progress
from generators.data import ImageSet
from generators.detail.views import random_views
from generators.latent.basis import Array, PublicBasis
from generators.networks.checkpoints import load_network, network_tensors
from generators.networks.halves import SAMPLE_CHUNK, ConvUp
from generators.networks.tensors import image_tensor, pick_device, seeded
from generators.public.pretraining import pretrain

WIDTH = 16
N_STEPS = 400
LEARNING_RATE = 5e-3
AVERAGE = 0.98
# Images a step at 64 pixels a side; fewer of larger ones, so that a step costs about the same.
BATCH, FEWEST = 32, 4
HELD_OUT = 8  # one image in so many
PREFIX = "decoder"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """How the network learns: n_steps of Adam; seed repeats them and the initial weights."""

    n_steps: int = N_STEPS
    seed: int = 0
    device: str = "cpu"
    progress: Progress = no_progress


class Refinement(nn.Module):
    """Latents [n, d] to what the directions lack [n, D], of flattened [S, S, C] images: orthogonal to all of them."""

    deviation: Tensor
    directions: Tensor
    gain: Tensor

    def __init__(self, linear: PublicBasis, *, size: int) -> None:
        super().__init__()
        channels = linear.directions.shape[1] // size**2
        self.up = ConvUp(n_inputs=linear.n_components, size=size, channels=channels, width=WIDTH)
        for parameter in self.up.layers[-1].parameters():
            nn.init.zeros_(parameter)  # nothing is added before anything is learned
        self.register_buffer("deviation", torch.ones(linear.n_components))
        self.register_buffer("gain", torch.ones(()))
        self.register_buffer("side", torch.tensor(size))
        self.register_buffer("directions", torch.from_numpy(linear.directions), persistent=False)

    def forward(self, latents: Tensor) -> Tensor:
        drawn = (self.up(latents / self.deviation) * 2 - 1).movedim(1, -1).flatten(1)
        added: Tensor = self.gain * (drawn - (drawn @ self.directions.T) @ self.directions)
        return added


@dataclass(frozen=True, kw_only=True)
class Autoencoder:
    """A `basis.Basis`: the linear one, refined."""

    linear: PublicBasis
    network: Refinement

    @property
    def mean(self) -> NDArray[np.float32]:
        return self.linear.mean

    @property
    def directions(self) -> NDArray[np.float32]:
        return self.linear.directions

    @property
    def scale(self) -> NDArray[np.float32]:
        return self.linear.scale

    @property
    def radius(self) -> float:
        return self.linear.radius

    @property
    def n_components(self) -> int:
        return self.linear.n_components

    @property
    def tensors(self) -> dict[str, NDArray[np.generic]]:
        return self.linear.tensors | network_tensors(self.network, PREFIX)

    def encode(self, pixels: NDArray[np.float32]) -> Array:
        """See `basis.Basis`."""
        return self.linear.encode(pixels)

    @torch.no_grad()
    def decode(self, latents: Array) -> NDArray[np.float32]:
        """See `basis.Basis`."""
        added = _in_chunks(self.network, torch.from_numpy(np.asarray(latents, dtype=np.float32)))
        return np.asarray(self.linear.decode(latents) + added.numpy(), dtype=np.float32)


def fit_autoencoder(public: ImageSet, linear: PublicBasis, lesson: Lesson) -> Autoencoder:
    """Train on public images [N, S, S] or [N, S, S, C], whose directions are `linear`. Raises ConfigError (a side)."""
    device, images = pick_device(lesson.device), image_tensor(public)
    size = images.shape[-1]
    held = torch.arange(len(images)) % HELD_OUT == 0
    with seeded(lesson.seed):
        network = Refinement(linear, size=size).to(device)
    lacking = _Lacking(linear, device)
    network.deviation.copy_(lacking(images.to(device))[0].std(0).clamp_min(1e-6))

    def loss(called: nn.Module, drawn: Tensor, _: Tensor) -> Tensor:
        half = len(drawn) // 2
        latents, lacked = lacking(torch.cat([drawn[:half], random_views(drawn[half:])]))
        error: Tensor = (called(latents) - lacked).square().sum(1)
        return error

    pretrain(
        network,
        loss,
        images[~held],
        torch.zeros(int((~held).sum()), 0),
        n_steps=lesson.n_steps,
        learning_rate=LEARNING_RATE,
        seed=lesson.seed,
        progress=lesson.progress,
        batch=int(np.clip(BATCH * (64 / size) ** 2, FEWEST, BATCH)),
        average=AVERAGE,
        message="training the autoencoder on public images",
    )
    network.gain.copy_(_borne_out(network, *lacking(images[held].to(device))))
    return Autoencoder(linear=linear, network=network.cpu().eval().requires_grad_(False))


def stored_basis(tensors: Mapping[str, NDArray[np.generic]], linear: PublicBasis) -> Autoencoder | PublicBasis:
    """The basis that these tensors hold beside their linear part. Raises ResumeError where weights do not fit."""
    own = {name: torch.from_numpy(value) for name, value in tensors.items() if name.startswith(f"{PREFIX}.")}
    if not own:
        return linear
    network = Refinement(linear, size=int(own[f"{PREFIX}.side"]))
    load_network(network, own, PREFIX)
    return Autoencoder(linear=linear, network=network.eval().requires_grad_(False))


class _Lacking:
    """Images [n, C, S, S] to their latents [n, d] and what the directions lack of them [n, D]."""

    def __init__(self, linear: PublicBasis, device: torch.device) -> None:
        self.mean, self.directions, self.scale = (
            torch.from_numpy(part).to(device) for part in (linear.mean, linear.directions, linear.scale)
        )

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        centred = images.movedim(1, -1).flatten(1) - self.mean
        scores = centred @ self.directions.T
        return scores / self.scale, centred - scores @ self.directions


@torch.no_grad()
def _borne_out(network: Refinement, latents: Tensor, lacked: Tensor) -> Tensor:
    """By how much what the network adds to these is best multiplied, from 0 to 1: least squares."""
    found = _in_chunks(network, latents)
    gain: Tensor = ((found * lacked).sum() / found.square().sum().clamp_min(1e-12)).clamp(0, 1)
    return gain


def _in_chunks(network: Refinement, latents: Tensor) -> Tensor:
    return torch.cat([network(part) for part in torch.split(latents, SAMPLE_CHUNK)])
