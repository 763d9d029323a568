"""Training the detail network on public images: from low-rank images at the base side, then doubling by doubling.

Nothing here is charged: phantoms, the operator's public set and the public basis are all that is looked at.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from generators.base import Progress
from generators.data import ImageSet
from generators.detail.network import KINDS, MOST_DOUBT, DetailNetwork, TorchBasis, blend_latents, flow_error
from generators.detail.spectrum import radial_power, sharpness
from generators.detail.views import random_views
from generators.latent.autoencoder import Autoencoder
from generators.latent.basis import Array, Basis
from generators.latent.space import phantoms_fit
from generators.networks.tensors import image_tensor, seeded
from generators.public.images import public_or_phantoms
from generators.public.pretraining import pretrain

WIDTH = 24
LARGEST_BASE = 96
CROP = 64
BATCH = 24
LEARNING_RATE = 2e-3
AVERAGE = 0.99
SOFT_BELOW = -17.0  # decibels, see `sharpness`: real radiographs lie above, those enlarged from fewer pixels below
FEWEST_SHARP = 4
MOST_VALUES = 40_000_000  # of each kind's images: memory, and more would teach these few steps nothing
CASCADE_NOISE = 0.05
UNIT_IMAGES = 128

Pairs = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""pairs(images [n, C, S, S]) -> targets, the low images given for them, doubts [n]; draws from torch's generator."""


@dataclass(frozen=True, kw_only=True)
class PublicImages:
    """images [N, C, S, S] in [0, 1] and the number in KINDS of each."""

    images: Tensor
    kinds: NDArray[np.intp]

    @property
    def best(self) -> str:
        """The kind to draw: the sharp ones, else the operator's, else phantoms."""
        counts = np.bincount(self.kinds, minlength=len(KINDS))
        if counts[2] >= FEWEST_SHARP:
            return KINDS[2]
        return KINDS[1] if counts[1] else KINDS[0]

    def of_kind(self, kind: str) -> NDArray[np.float32]:
        """Images [n, S, S] of a kind, their channels averaged."""
        chosen = torch.from_numpy(np.flatnonzero(self.kinds == KINDS.index(kind)))
        return np.asarray(self.images[chosen].mean(1).numpy(), dtype=np.float32)

    @property
    def spectrum(self) -> Array:
        """Mean radial power [S/2] of the kind that is drawn."""
        return np.asarray(radial_power(self.of_kind(self.best)).mean(0))

    def balanced(self) -> tuple[Tensor, Tensor]:
        """Images and one-hot kinds: as many of each kind that is there, the fewer repeated, and twice the one drawn."""
        most = max(1, MOST_VALUES // self.images[0].numel())
        per_kind = min(most, int(np.bincount(self.kinds).max()))
        shown = [*KINDS, self.best]
        owned = [np.flatnonzero(self.kinds == KINDS.index(kind)) for kind in shown]
        rows = np.concatenate([np.resize(own, per_kind) for own in owned if len(own)])
        return self.images[torch.from_numpy(rows)], torch.eye(len(KINDS))[torch.from_numpy(self.kinds[rows])]


def gather_public(public: ImageSet | None, like: ImageSet) -> PublicImages:
    """The operator's images, told apart by sharpness, and phantoms where there are any like these."""
    parts: list[Tensor] = []
    kinds: list[NDArray[np.intp]] = []
    if public is not None:
        parts.append(image_tensor(public))
        grey = parts[0].mean(1).numpy()
        kinds.append(np.where(sharpness(grey) >= SOFT_BELOW, KINDS.index("sharp"), KINDS.index("soft")))
    if phantoms_fit(like):
        parts.append(image_tensor(public_or_phantoms(None, like)))
        kinds.append(np.full(len(parts[-1]), KINDS.index("phantom")))
    return PublicImages(images=torch.cat(parts), kinds=np.concatenate(kinds))


def base_side(size: int) -> int:
    """The side at which low-rank images get their first detail; doubled until `size` is reached."""
    return size if size <= LARGEST_BASE or size % 2 else base_side(size // 2)


def train_base(
    shown: PublicImages, basis: Basis, *, n_steps: int, seed: int, device: torch.device, progress: Progress
) -> DetailNetwork:
    """The network that adds to low-rank images at the base side. Repeats by seed."""
    space = torch_basis(basis, device)
    side = base_side(shown.images.shape[-1])

    def pairs(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        views = random_views(images)
        doubt = MOST_DOUBT * torch.rand(len(views), device=views.device)
        low = space.decode(blend_latents(space.encode(views), doubt), views)
        target, given = (functional.adaptive_avg_pool2d(part, side) for part in (views, low))
        return target, given, doubt

    return _trained(shown, pairs, n_steps=n_steps, seed=seed, device=device, progress=progress)


def train_doubling(
    shown: PublicImages, *, n_steps: int, seed: int, device: torch.device, progress: Progress
) -> DetailNetwork:
    """The network that adds to images enlarged twofold, trained on crops at every side above the base."""
    size = shown.images.shape[-1]
    sides = [side for side in (size // 2**k for k in range(8)) if side > base_side(size)]

    def pairs(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        side = sides[int(torch.randint(len(sides), (1,)))]
        target = functional.adaptive_avg_pool2d(random_views(images), side)
        doubt = MOST_DOUBT * torch.rand(len(target), device=target.device)
        low = enlarge(functional.avg_pool2d(target, 2))
        low = low + CASCADE_NOISE * doubt[:, None, None, None] * torch.randn_like(low)
        y, x = (2 * int(torch.randint((side - min(CROP, side)) // 2 + 1, (1,))) for _ in range(2))
        target, low = (part[..., y : y + CROP, x : x + CROP] for part in (target, low))
        return target, low, doubt

    return _trained(shown, pairs, n_steps=n_steps, seed=seed + 1, device=device, progress=progress)


def enlarge(images: Tensor) -> Tensor:
    """Twice the side, smoothly."""
    return functional.interpolate(images, scale_factor=2.0, mode="bilinear", align_corners=False)


def torch_basis(basis: Basis, device: torch.device) -> TorchBasis:
    mean, directions, scale = (
        torch.from_numpy(np.asarray(part, dtype=np.float32)).to(device)
        for part in (basis.mean, basis.directions, basis.scale)
    )
    # A network of its own: another device may be meant than the one that it decodes on.
    refine = copy.deepcopy(basis.network).to(device) if isinstance(basis, Autoencoder) else None
    return TorchBasis(mean=mean, directions=directions, scale=scale, refine=refine)


def _trained(
    shown: PublicImages, pairs: Pairs, *, n_steps: int, seed: int, device: torch.device, progress: Progress
) -> DetailNetwork:
    with seeded(seed):
        network = DetailNetwork(channels=shown.images.shape[1], width=WIDTH).to(device)
        images, kinds = shown.balanced()
        target, low, _ = pairs(images[torch.randint(len(images), (UNIT_IMAGES,))].to(device))
        network.unit.copy_((target - low).std())

    def loss(called: nn.Module, drawn: Tensor, kinds: Tensor) -> Tensor:
        target, low, doubt = pairs(drawn)
        return flow_error(called, target, low, doubt, kinds, network.unit)

    pretrain(
        network,
        loss,
        images,
        kinds,
        n_steps=n_steps,
        learning_rate=LEARNING_RATE,
        seed=seed,
        progress=progress,
        batch=BATCH,
        average=AVERAGE,
        message="training detail on public images",
    )
    return network.eval()
