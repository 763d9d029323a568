"""A small network that draws what a low-rank image lacks: conditional flow matching on public images alone.

Lipman et al. 2023: from Gaussian noise e at time 0 to the residual r = image - low-rank image at time 1 along straight
lines, the network learning r - e from the point between, given the low-rank image. In training the low-rank image is
perturbed as private draws are (`blend_latents`), by an amount that the network is told, so that draws which lie off
the public images' manifold still find plausible detail (the idea of SDEdit, Meng et al. 2022).

Public images of different make are told apart by their `kind` (`KINDS`): phantoms teach anatomy, soft images, which
were enlarged from few pixels, teach it too without teaching softness, and what is drawn bears the sharp images' look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

KINDS = ("phantom", "soft", "sharp")
N_FREQUENCIES = 8
EMBEDDING = 64
MOST_DOUBT = 0.7
DIVISOR = 8  # one rearrangement and two halvings


class Block(nn.Module):
    """Two convolutions with GroupNorm around a shortcut; time, doubt and kind shift the channels between them."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.shift = nn.Linear(EMBEDDING, after)
        self.second = nn.Sequential(nn.GroupNorm(8, after), nn.SiLU(), nn.Conv2d(after, after, 3, padding=1))
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, values: Tensor, embedding: Tensor) -> Tensor:
        inner = self.first(values) + self.shift(embedding)[:, :, None, None]
        total: Tensor = self.shortcut(values) + self.second(inner)
        return total


class DetailNetwork(nn.Module):
    """Velocity [n, C, S, S] of residuals [n, C, S, S] in units of `unit`, given low images, times, doubts and kinds.

    Works at half the side and below, where its cost is bearable on a CPU. Any side: reflected to a multiple of 8.
    """

    unit: Tensor

    def __init__(self, *, channels: int, width: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("unit", torch.tensor(0.1))
        self.enter = nn.Conv2d(8 * channels, width, 3, padding=1)
        self.embed = nn.Sequential(
            nn.Linear(2 * N_FREQUENCIES + 1 + len(KINDS), EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING)
        )
        self.down = nn.ModuleList([Block(width, width), Block(width, 2 * width), Block(2 * width, 4 * width)])
        self.middle = Block(4 * width, 4 * width)
        self.up = nn.ModuleList([Block(8 * width, 2 * width), Block(4 * width, width), Block(2 * width, width)])
        self.leave = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 4 * channels, 3, padding=1))

    def forward(self, residuals: Tensor, low: Tensor, time: Tensor, doubt: Tensor, kinds: Tensor) -> Tensor:
        side = low.shape[-1]
        margin = -side % DIVISOR
        stacked = functional.pad(torch.cat([residuals, low * 2 - 1], dim=1), (0, margin, 0, margin), mode="reflect")
        embedding = self.embed(torch.cat([_waves(time), doubt[:, None], kinds], dim=1))
        values = self.enter(functional.pixel_unshuffle(stacked, 2))
        levels = []
        for depth, block in enumerate(self.down):
            values = block(functional.avg_pool2d(values, 2) if depth else values, embedding)
            levels.append(values)
        values = self.middle(values, embedding)
        for depth, block in enumerate(self.up):
            values = functional.interpolate(values, scale_factor=2.0) if depth else values
            values = block(torch.cat([values, levels.pop()], dim=1), embedding)
        velocity: Tensor = functional.pixel_shuffle(self.leave(values), 2)[..., :side, :side]
        return velocity


def _waves(time: Tensor) -> Tensor:
    phase = time[:, None] * (math.pi / 2) * 2.0 ** torch.arange(N_FREQUENCIES, device=time.device)
    return torch.cat([phase.sin(), phase.cos()], dim=1)


@dataclass(frozen=True, kw_only=True)
class TorchBasis:
    """A `Basis` as tensors: mean [D], directions [d, D], scale [d], over flattened [S, S, C] images.

    refine: latents [n, d] to what is added to their linear images [n, D]; None for nothing.
    """

    mean: Tensor
    directions: Tensor
    scale: Tensor
    refine: nn.Module | None = None

    def encode(self, images: Tensor) -> Tensor:
        flat = images.movedim(1, -1).flatten(1)
        return (flat - self.mean) @ self.directions.T / self.scale

    def decode(self, latents: Tensor, like: Tensor) -> Tensor:
        """Images with the shape of `like` [n, C, S, S]."""
        flat = (latents * self.scale) @ self.directions + self.mean
        if self.refine is not None:
            flat = flat + self.refine(latents)
        return flat.reshape(like.movedim(1, -1).shape).movedim(-1, 1)


def blend_latents(latents: Tensor, doubt: Tensor) -> Tensor:
    """Latents [n, d] with a share `doubt` [n] of their deviation replaced by a Gaussian of this batch's covariance.

    It is what a private draw is: a Gaussian with about the right mean and covariance in place of a person's latent.
    """
    centred = latents - latents.mean(0)
    mixing = torch.randn(len(latents), len(latents), device=latents.device) / math.sqrt(len(latents))
    share = doubt[:, None]
    return latents.mean(0) + (1 - share.square()).sqrt() * centred + share * (mixing @ centred)


def flow_error(network: nn.Module, images: Tensor, low: Tensor, doubt: Tensor, kinds: Tensor, unit: Tensor) -> Tensor:
    """The flow-matching error [n] of images [n, C, S, S] given low images of that shape; times are logit-normal."""
    residuals = (images - low) / unit
    noise = torch.randn_like(residuals)
    time = torch.sigmoid(torch.randn(len(images), device=images.device))
    share = time[:, None, None, None]
    velocity = network(share * residuals + (1 - share) * noise, low, time, doubt, kinds)
    error: Tensor = (velocity - (residuals - noise)).square().flatten(1).mean(1)
    return error


@torch.no_grad()
def draw_residuals(
    network: DetailNetwork,
    low: Tensor,
    *,
    kind: str,
    doubt: float,
    n_steps: int,
    random: torch.Generator,
    start: Tensor | None = None,
    start_time: float = 0.0,
) -> Tensor:
    """Residuals [n, C, S, S] in units of pixels for low images of that shape, by Euler steps; repeats by `random`.

    start: residuals to begin from, noised as at `start_time` (SDEdit); None begins at time 0 from noise alone.
    """
    n = len(low)
    kinds = torch.zeros(n, len(KINDS), device=low.device)
    kinds[:, KINDS.index(kind)] = 1.0
    doubts = torch.full((n,), doubt, device=low.device)
    begin = 0.0 if start is None else start_time
    values = (1 - begin) * torch.randn(low.shape, generator=random).to(low.device)
    if start is not None:
        values = values + begin * start / network.unit
    for step in range(n_steps):
        time = torch.full((n,), begin + (1 - begin) * step / n_steps, device=low.device)
        values = values + network(values, low, time, doubts, kinds) * ((1 - begin) / n_steps)
    return values * network.unit
