"""Detail drawn by trained networks: from low-rank images to the part that they lack, its spectrum corrected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from generators.base import Progress
from generators.detail.fitting import WIDTH, base_side, enlarge
from generators.detail.network import KINDS, DetailNetwork, draw_residuals
from generators.detail.spectrum import apply_gains
from generators.folder import save_tensors
from generators.latent.basis import Array, Basis
from generators.networks.checkpoints import load_network, network_tensors, read_tensors

N_STEPS_FROM_NOISE, N_STEPS_FROM_START = 10, 5
# How far detail that is refined is kept: later, a phantom's look stays; earlier, a short-trained network loses ribs.
START_TIME = 0.7
DOUBT = 0.3
CHUNK = 128

Pixels = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class NetworkDetail:
    """A trained detail network: base, the network that doubles the side (None at small sides), the kind drawn, and
    the gain of each ring [S/2]."""

    base: DetailNetwork
    doubling: DetailNetwork | None
    kind: str
    gains: Array

    def add(
        self,
        low: Pixels,
        *,
        basis: Basis,
        rng: np.random.Generator,
        progress: Progress,
        start: Pixels | None = None,
    ) -> Pixels:
        """Images [n, D], not clipped, with the detail of low images [n, D]. Deterministic in `rng`."""
        detail = self.draw(low, basis=basis, rng=rng, progress=progress, start=start)
        return self.join(low, detail, basis=basis)

    def join(self, low: Pixels, detail: Pixels, *, basis: Basis) -> Pixels:
        """Low images and their detail with its spectrum corrected, not clipped."""
        return np.asarray(low + corrected(detail, self.gains, basis), dtype=np.float32)

    def draw(
        self,
        low: Pixels,
        *,
        basis: Basis,
        rng: np.random.Generator,
        progress: Progress,
        start: Pixels | None = None,
    ) -> Pixels:
        """The detail [n, D] alone, before its spectrum is corrected, none of it inside the latent space.

        start: detail [n, D] to refine, from START_TIME on; None draws it from noise.
        """
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        device = self.base.unit.device
        parts = []
        for first in range(0, len(low), CHUNK):
            rows = slice(first, first + CHUNK)
            part = as_images(low[rows], self.base.channels).to(device)
            given = None if start is None else as_images(start[rows], self.base.channels).to(device)
            parts.append(as_rows(self._refined(part, given, random).cpu() - part.cpu()))
            progress(min(first + CHUNK, len(low)), len(low), "drawing detail")
        return outside(np.concatenate(parts), basis)

    def _refined(self, low: Tensor, start: Tensor | None, random: torch.Generator) -> Tensor:
        size = low.shape[-1]
        side = base_side(size)
        image = functional.adaptive_avg_pool2d(low, side)
        begin = None if start is None else functional.adaptive_avg_pool2d(start, side)
        image = image + self._residuals(self.base, image, begin, DOUBT, random)
        while side < size and self.doubling is not None:
            side, image = side * 2, enlarge(image)
            image = image + self._residuals(self.doubling, image, None, 0.0, random)
        return image

    def _residuals(
        self, network: DetailNetwork, low: Tensor, start: Tensor | None, doubt: float, random: torch.Generator
    ) -> Tensor:
        return draw_residuals(
            network,
            low,
            kind=self.kind,
            doubt=doubt,
            n_steps=N_STEPS_FROM_NOISE if start is None else N_STEPS_FROM_START,
            random=random,
            start=start,
            start_time=START_TIME,
        )

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        doubling = {} if self.doubling is None else network_tensors(self.doubling, "doubling")
        facts = {"kind": np.array([KINDS.index(self.kind)]), "gains": self.gains}
        save_tensors(path, network_tensors(self.base, "base") | doubling | facts)

    @classmethod
    def load(cls, path: Path, *, channels: int) -> NetworkDetail:
        """Read what `save` wrote. Raises ResumeError."""
        tensors = read_tensors(path)
        networks = [
            _loaded(tensors, name, channels) if f"{name}.unit" in tensors else None for name in ("base", "doubling")
        ]
        return cls(
            base=networks[0] or DetailNetwork(channels=channels, width=WIDTH),
            doubling=networks[1],
            kind=KINDS[int(tensors["kind"][0])],
            gains=tensors["gains"].numpy().astype(np.float64),
        )


def outside(detail: Pixels, basis: Basis) -> Pixels:
    """Rows [n, D] without their part inside the latent space."""
    return np.asarray(detail - (detail @ basis.directions.T) @ basis.directions, dtype=np.float32)


def corrected(detail: Pixels, gains: Array, basis: Basis) -> Pixels:
    """Detail [n, D] with the gains of each ring applied to its spectrum, still outside the latent space."""
    channels = detail.shape[1] // (2 * len(gains)) ** 2
    images = as_images(detail, channels)
    flat = apply_gains(images.flatten(0, 1).numpy(), gains)
    return outside(as_rows(torch.from_numpy(flat).reshape(images.shape)), basis)


def as_images(rows: Pixels, channels: int) -> Tensor:
    """Rows [n, D] as images [n, C, S, S]."""
    side = round((rows.shape[1] / channels) ** 0.5)
    return torch.from_numpy(rows.astype(np.float32)).reshape(-1, side, side, channels).movedim(-1, 1)


def as_rows(images: Tensor) -> Pixels:
    """Images [n, C, S, S] as rows [n, D]."""
    return np.asarray(images.movedim(1, -1).flatten(1).numpy(), dtype=np.float32)


def as_grey(rows: Pixels, channels: int) -> Pixels:
    """Rows [n, D] as grey images [n, S, S]."""
    return np.asarray(as_images(rows, channels).mean(1).numpy(), dtype=np.float32)


def _loaded(tensors: dict[str, Tensor], name: str, channels: int) -> DetailNetwork:
    network = DetailNetwork(channels=channels, width=WIDTH)
    load_network(network, tensors, name)
    return network.eval()
