"""An embedding in which an image lies beside its own copies: learned on people of whom only the auditor knows.

Two copies of one image, moved and toned at random, shall find each other among those of all other images of the batch
(InfoNCE, van den Oord et al. 2018; Chen et al. 2020, SimCLR). Where a person has several visits, the second copy is
often of another visit. After Dar et al. 2024, Nature Biomedical Engineering, on memorisation by medical diffusion.
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audits.embeddings.plain import Embedding
from audits.pixels import Floats, resize
from audits.stats import rows_by_subject
from generators.networks.tensors import pick_device, seeded

SIDE = 32
WIDTHS = (24, 48, 96)
N_FEATURES = 128
BATCH = 128
LEARNING_RATE = 3e-3
TEMPERATURE = 0.1
N_WAVES = 6  # a side, of the field by which an image is bent
OTHER_VISIT = 0.5  # how often the second copy is of another visit


class CopyNetwork(nn.Module):
    """Images [n, 1, 32, 32] to unit vectors [n, 128]; brightness and contrast of an image are taken out first.

    Batch statistics, also of the features: they take out what all images share, from which learning starts slowly.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(channels * (SIDE // 8) ** 2, 256),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Linear(256, N_FEATURES),
            nn.BatchNorm1d(N_FEATURES, affine=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        centred = images - images.mean(dim=(1, 2, 3), keepdim=True)
        features: Tensor = self.head(self.body(centred / (centred.std(dim=(1, 2, 3), keepdim=True) + 1e-3)))
        return nn.functional.normalize(features, dim=1)


def learn_embedding(
    images: Floats, subjects: NDArray[np.str_], *, n_steps: int, seed: int, device: str = "auto"
) -> Embedding:
    """Train on grey images [N, H, W] in [0, 1] of these subjects; repeats by seed on one machine."""
    place = pick_device(device)
    small = torch.from_numpy(resize(images, SIDE))[:, None].to(place)
    people = rows_by_subject(subjects)
    rng = np.random.default_rng(seed)
    with seeded(seed):
        network = CopyNetwork().to(place)
        optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_steps)
        for _ in range(n_steps):
            first, second = (altered(small[chosen]) for chosen in _pairs(people, rng))
            loss = _contrast(network(first), network(second))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
    network.eval()
    return Embedding(name=f"contrastive, {len(people)} people", extract=partial(_embed, network, place))


def _pairs(people: list[NDArray[np.intp]], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Row numbers of a batch, each person at most once, and of an image of the same people."""
    batch = [people[i] for i in rng.permutation(len(people))[:BATCH]]
    drawn = rng.random((2, len(batch)))
    first, other = ([rows[int(at * len(rows))] for rows, at in zip(batch, draw, strict=True)] for draw in drawn)
    second = np.where(rng.random(len(batch)) < OTHER_VISIT, other, first)
    return torch.tensor(first), torch.from_numpy(second)


def _contrast(first: Tensor, second: Tensor) -> Tensor:
    likeness = first @ second.T / TEMPERATURE
    truth = torch.arange(len(first), device=first.device)
    return nn.functional.cross_entropy(likeness, truth) + nn.functional.cross_entropy(likeness.T, truth)


def altered(images: Tensor) -> Tensor:
    """Images [n, 1, S, S] as a copier might hide them: moved, bent, toned, mixed, blurred, with noise.

    Flips, inversion, large turns and zooms are left to the views under which images are compared: a network that need
    not learn them learns the rest sooner.
    """
    moved = _moved(images)
    toned = moved.clamp(min=0) ** _between(images, -0.4, 0.4).exp()
    share = torch.where(_between(images, 0, 1) < 0.4, _between(images, 0, 0.35), 0.0)
    mixed = (1 - share) * toned + share * toned.roll(1, 0)
    near = _neighbours(images.shape[-1]).to(images)
    soft = near @ mixed @ near.T
    softness = torch.where(_between(images, 0, 1) < 0.3, _between(images, 0, 1), 0.0)
    blurred = torch.lerp(mixed, soft, softness)
    return blurred + _between(images, 0, 0.08) * torch.randn_like(images)


def _moved(images: Tensor) -> Tensor:
    n, side = len(images), images.shape[-1]
    angle = _between(images, -0.09, 0.09).flatten()
    size = _between(images, -0.08, 0.08).flatten().exp()
    shift = _between(images, -0.26, 0.26), _between(images, -0.26, 0.26)
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    first = torch.stack([cos, sin, shift[0].flatten()], dim=1)
    second = torch.stack([-sin, cos, shift[1].flatten()], dim=1)
    grid = nn.functional.affine_grid(torch.stack([first, second], dim=1), list(images.shape), align_corners=False)
    waves = torch.randn(n, 2, N_WAVES, N_WAVES, device=images.device) * _between(images, 0, 0.1)
    smooth = _bicubic(side).to(images)
    grid = grid + (smooth @ waves @ smooth.T).movedim(1, -1)
    return nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


@lru_cache(maxsize=4)
def _bicubic(side: int) -> Tensor:
    """[side, N_WAVES]: of a line; between two of them a small field becomes a smooth large one, as by `interpolate`."""
    line = torch.eye(N_WAVES)[None, None]
    return nn.functional.interpolate(line, size=(side, N_WAVES), mode="bicubic", align_corners=False)[0, 0]


@lru_cache(maxsize=4)
def _neighbours(side: int) -> Tensor:
    """[side, side]: of a line, the mean of each pixel and its neighbours."""
    near = torch.ones(side, side).tril(1).triu(-1)
    return near / near.sum(dim=1, keepdim=True)


def _between(images: Tensor, low: float, high: float) -> Tensor:
    """[n, 1, 1, 1], drawn evenly."""
    return torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(low, high)


@torch.no_grad()
def _embed(network: CopyNetwork, place: torch.device, grey: Floats) -> Floats:
    small = torch.from_numpy(resize(grey, SIDE))[:, None]
    return torch.cat([network(part.to(place)).cpu() for part in torch.split(small, 512)]).numpy()
