"""A small conditional U-Net for noise levels, of layers that Opacus has samplers for, and its diffusion.

Preconditioning, noise levels and sampler after Karras et al. 2022 (EDM), as DPDM uses them; images in [-1, 1].
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

SIGMA_DATA = 0.5
# Of ln sigma within a patch, whose mean lessens noise by its side. EDM's own mean, -1.2, spends most views on fine
# grain, which few private steps do not reach.
LOG_MEAN, LOG_STD = -0.2, 1.2
SIGMA_MIN, SIGMA_MAX, RHO = 0.02, 40.0, 7.0
N_FREQUENCIES = 16
MOST_PATCHES = 16


class Block(nn.Module):
    """Two convolutions around the condition, with a way past them."""

    def __init__(self, before: int, after: int, n_embedded: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.shift = nn.Linear(n_embedded, after)
        self.second = nn.Sequential(nn.GroupNorm(8, after), nn.SiLU(), nn.Conv2d(after, after, 3, padding=1))
        self.past = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        inner = self.first(x) + self.shift(embedded)[:, :, None, None]
        out: Tensor = self.past(x) + self.second(inner)
        return out


def patch_of(size: int) -> int:
    """Side of the patches: at least 2, and 16 patches a side at most; single pixels where that does not divide."""
    patch = max(2, math.ceil(size / MOST_PATCHES))
    return patch if size % patch == 0 else 1


class SmallUnet(nn.Module):
    """Noisy images [n, C, S, S], noise levels [n] and one-hot labels [n, L] to the raw prediction [n, C, S, S].

    The label moves channels, as in EDM, and adds a map where the network is narrowest: channels alone cannot say where
    a label's ink belongs but by many convolutions. Inside it sees patches (see `patch_of`), which keeps steps cheap.
    """

    def __init__(self, *, size: int, channels: int, n_labels: int, width: int) -> None:
        super().__init__()
        self.patch = patch_of(size)
        packed, n_embedded = channels * self.patch**2, 4 * width
        self.n_labels, side = n_labels, size // self.patch
        halvings = sum(side % 2**k == 0 and side // 2**k >= 4 for k in (1, 2))
        widths = [width, *[2 * width] * halvings]
        self.embed = nn.Sequential(
            nn.Linear(2 * N_FREQUENCIES + n_labels, n_embedded), nn.SiLU(), nn.Linear(n_embedded, n_embedded), nn.SiLU()
        )
        self.stem = nn.Conv2d(packed, width, 3, padding=1)
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(Block(before, after, n_embedded) for before, after in pairs)
        self.deepest = (widths[-1], side >> halvings, side >> halvings)
        self.place = nn.Linear(n_labels, math.prod(self.deepest))
        self.middle = Block(widths[-1], widths[-1], n_embedded)
        self.up = nn.ModuleList(Block(2 * after, before, n_embedded) for before, after in reversed(pairs))
        self.head = nn.Sequential(nn.GroupNorm(8, 2 * width), nn.SiLU(), nn.Conv2d(2 * width, packed, 3, padding=1))

    def forward(self, x: Tensor, noise: Tensor, labels: Tensor) -> Tensor:
        angle = noise[:, None] * 2.0 ** torch.linspace(-2, 4, N_FREQUENCIES, device=x.device)
        embedded = self.embed(torch.cat([angle.sin(), angle.cos(), labels], dim=1))
        x = nn.functional.pixel_unshuffle(x, self.patch)
        first = x = self.stem(x)
        held = []
        for block in self.down:
            x = block(nn.functional.avg_pool2d(x, 2), embedded)
            held.append(x)
        x = self.middle(x + self.place(labels).reshape(-1, *self.deepest), embedded)
        for block in self.up:
            x = block(torch.cat([x, held.pop()], dim=1), embedded)
            x = nn.functional.interpolate(x, scale_factor=2.0)
        raw: Tensor = nn.functional.pixel_shuffle(self.head(torch.cat([x, first], dim=1)), self.patch)
        return raw


def diffusion_losses(network: nn.Module, images: Tensor, labels: Tensor, *, n_labels: int, views: int) -> Tensor:
    """[views * B]: each view of an image at a noise level of its own (noise multiplicity), over the number of views."""
    images, labels = images.repeat(views, 1, 1, 1), labels.repeat(views)
    level = LOG_MEAN + LOG_STD * torch.randn(len(images), device=images.device)
    sigma = patch_of(images.shape[-1]) * level.exp()
    noisy = images + sigma[:, None, None, None] * torch.randn_like(images)
    skip, out, into = _scales(sigma)
    raw = network(noisy * into, sigma.log() / 4, nn.functional.one_hot(labels, n_labels).float())
    wanted = (images - skip * noisy) / out
    losses: Tensor = (raw - wanted).square().flatten(1).mean(1) / views
    return losses


@torch.no_grad()
def draw_images(
    network: nn.Module, labels: Tensor, *, shape: tuple[int, int, int], n_labels: int, n_steps: int
) -> Tensor:
    """Images [n, *shape] of the labels [n], by Euler's steps along the probability flow."""
    device = labels.device
    place = torch.linspace(0, 1, n_steps, device=device)
    high, low = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    sigmas = [*((high + place * (low - high)) ** RHO).tolist(), 0.0]
    x: Tensor = torch.randn(len(labels), *shape, device=device) * sigmas[0]
    told = nn.functional.one_hot(labels, n_labels).float()
    for now, then in itertools.pairwise(sigmas):
        sigma = torch.full((len(x),), now, device=device)
        skip, out, into = _scales(sigma)
        clean = (skip * x + out * network(x * into, sigma.log() / 4, told)).clamp(-1, 1)
        x = clean + (x - clean) * (then / now)
    return x


def _scales(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """c_skip, c_out and c_in of Karras et al. 2022, table 1, shaped to multiply images."""
    total = (sigma.square() + SIGMA_DATA**2)[:, None, None, None]
    spread = sigma[:, None, None, None]
    return SIGMA_DATA**2 / total, spread * SIGMA_DATA / total.sqrt(), 1 / total.sqrt()
