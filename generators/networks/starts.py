"""Where drawing begins that does not begin with pure noise: a Gaussian a label around its mean image.

A denoiser that learned for minutes draws fine structure well and large anatomy badly. So it is handed coarse images of
the right labels, noised part of the way, and takes the noise away (the early stop of Lyu, Xu, Yang, Lin and Dai 2022;
SDEdit of Meng et al. 2022). What a start is made of is public, or released with noise before: nothing here is charged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.folder import load_tensors, save_tensors
from generators.networks.tensors import seeded

FILE = "start.safetensors"
N_DIRECTIONS = 64


@dataclass(frozen=True, kw_only=True)
class GaussianStart:
    """means [L, C, S, S]: each label's; directions [k, C, S, S]: times standard normal numbers, what varies around."""

    means: Tensor
    directions: Tensor

    @classmethod
    def of(cls, images: Tensor, labels: NDArray[np.intp], n_labels: int, *, seed: int) -> GaussianStart:
        """The Gaussian of images [n, C, S, S] whose label is labels [n], -1 where it is none of the vocabulary's.

        A label that no image bears has the mean of all.
        """
        everywhere = images.mean(0)
        owned = [images[torch.from_numpy(labels == label)] for label in range(n_labels)]
        means = torch.stack([own.mean(0) if len(own) else everywhere for own in owned])
        others = images[torch.from_numpy(labels < 0)]
        aside = others.mean(0) if len(others) else everywhere
        centres = torch.cat([means, aside[None]])[torch.from_numpy(labels)]
        rest = (images - centres).flatten(1)
        with seeded(seed):
            _, size, rows = torch.pca_lowrank(rest, q=min(N_DIRECTIONS, *rest.shape), center=False)
        directions = rows.T * (size / max(len(images), 2) ** 0.5)[:, None]
        return cls(means=means, directions=directions.reshape(-1, *images.shape[1:]))

    def draw(self, labels: NDArray[np.intp], *, seed: int) -> Tensor:
        """Images [n, C, S, S], clipped to [0, 1]."""
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randn(len(labels), len(self.directions), generator=generator)
        drawn: Tensor = self.means[torch.from_numpy(labels)] + torch.tensordot(chosen, self.directions, dims=1)
        return drawn.clamp(0, 1)

    def save(self, folder: Path) -> None:
        save_tensors(folder / FILE, {"means": self.means.numpy(), "directions": self.directions.numpy()})

    @classmethod
    def load(cls, folder: Path) -> GaussianStart | None:
        """That of a generator's folder; None where it has none and drawing begins with pure noise."""
        if not (folder / FILE).exists():
            return None
        tensors = load_tensors(folder / FILE)
        return cls(**{name: torch.from_numpy(tensors[name].astype(np.float32)) for name in ("means", "directions")})
