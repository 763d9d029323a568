"""A small denoiser of latent vectors: its network, its loss, and a second-order sampler.

Karras, Aittala, Aila and Laine 2022 ("Elucidating the design space of diffusion-based generative models"):
preconditioning (their table 1), loss weight and noise levels (section 5), and the deterministic second-order solver
(algorithm 1). Conditions enter by feature-wise affine maps (FiLM, Perez et al. 2018); one that is dropped is zero, so
that guidance without a classifier (Ho and Salimans 2022) can compare with and without the label.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from generators.gradients.subjects import Loss

N_FREQUENCIES = 8
# Noise levels in training, in units of the data's deviation: the logarithm's mean and deviation.
LOG_MEAN, LOG_STD = -0.6, 1.2
# And in sampling: largest, smallest, and the exponent of the spacing (their equation 5).
LARGEST, SMALLEST, RHO = 15.0, 0.02, 7.0


class LatentDenoiser(nn.Module):
    """Noisy latents [n, d], noise levels [n] and conditions [n, c] to the latents without noise, as it guesses them.

    data_std: the deviation of a latent, a public number. A network of zeros is the best linear guess for it.
    """

    def __init__(self, *, n_latents: int, n_conditions: int, width: int, depth: int, data_std: float) -> None:
        super().__init__()
        self.n_latents, self.data_std = n_latents, data_std
        self.level = nn.Linear(2 * N_FREQUENCIES, width)
        self.conditions = nn.Linear(n_conditions, width, bias=False)
        self.into = nn.Linear(n_latents, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.out = nn.Linear(width, n_latents)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, noisy: Tensor, level: Tensor, conditions: Tensor) -> Tensor:
        std, level = self.data_std, level[:, None]
        total = (level.square() + std**2).sqrt()
        found = self._raw(noisy / total, (level / std).log() / 4, conditions)
        denoised: Tensor = noisy * (std / total).square() + found * (level * std / total)
        return denoised

    def _raw(self, scaled: Tensor, place: Tensor, conditions: Tensor) -> Tensor:
        angles = place * (math.pi * torch.arange(1, N_FREQUENCIES + 1, device=place.device, dtype=place.dtype))
        asked = functional.silu(
            self.level(torch.cat([angles.cos(), angles.sin()], dim=1)) + self.conditions(conditions)
        )
        hidden = self.into(scaled)
        for block in self.blocks:
            hidden = block(hidden, asked)
        guess: Tensor = self.out(functional.silu(hidden))
        return guess


class _Block(nn.Module):
    """A residual layer whose normalised features are scaled and shifted by what is asked for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(width, 2 * width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, hidden: Tensor, asked: Tensor) -> Tensor:
        scale, shift = self.film(asked).chunk(2, dim=1)
        inner = functional.silu(self.first(self.norm(hidden) * (1 + scale) + shift))
        changed: Tensor = hidden + self.second(inner)
        return changed


def denoising_loss(sizes: Sequence[int], *, data_std: float, dropped: float) -> Loss:
    """The weighted squared error of each latent [n] at a noise level of its own.

    sizes: columns of label, sex and age group in the conditions; each of the three is dropped with chance `dropped`.
    """
    part = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(list(sizes)))

    def loss(network: nn.Module, latents: Tensor, conditions: Tensor) -> Tensor:
        kept = torch.rand(len(latents), len(sizes), device=latents.device) >= dropped
        level = data_std * (LOG_MEAN + LOG_STD * torch.randn(len(latents), device=latents.device)).exp()
        noisy = latents + level[:, None] * torch.randn_like(latents)
        denoised = network(noisy, level, conditions * kept[:, part.to(latents.device)])
        weight = (level.square() + data_std**2) / (level * data_std).square()
        weighted: Tensor = weight * (denoised - latents).square().mean(1)
        return weighted

    return loss


@torch.no_grad()
def draw_latents(
    network: LatentDenoiser,
    conditions: Tensor,
    *,
    n_labels: int,
    guidance: float,
    n_steps: int,
    random: torch.Generator,
) -> Tensor:
    """Latents [n, d] for conditions [n, c], by 2 n_steps - 1 calls of the network; deterministic in `random`.

    guidance: 1 takes the network at its word; above, what the label changes is exaggerated by that factor.
    """
    levels = _levels(n_steps) * network.data_std
    unlabelled = conditions.clone()
    unlabelled[:, :n_labels] = 0

    def slope(latents: Tensor, level: Tensor) -> Tensor:
        at = level.expand(len(latents))
        denoised = network(latents, at, conditions)
        if guidance != 1:
            without = network(latents, at, unlabelled)
            denoised = without + guidance * (denoised - without)
        moved: Tensor = (latents - denoised) / level
        return moved

    start = torch.randn(len(conditions), network.n_latents, generator=random)
    latents = start.to(conditions.device) * levels[0]
    for level, following in itertools.pairwise(levels):
        first = slope(latents, level)
        ahead = latents + (following - level) * first
        if following > 0:  # corrected by the slope at the step's end
            ahead = latents + (following - level) * (first + slope(ahead, following)) / 2
        latents = ahead
    return latents


def _levels(n_steps: int) -> Tensor:
    """Falling noise levels [n_steps + 1], the last one 0, in units of the data's deviation."""
    ticks = torch.linspace(0, 1, n_steps) if n_steps > 1 else torch.zeros(1)
    levels = (LARGEST ** (1 / RHO) + ticks * (SMALLEST ** (1 / RHO) - LARGEST ** (1 / RHO))) ** RHO
    return torch.cat([levels, torch.zeros(1)])
