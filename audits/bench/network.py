"""A judge's small convolutional network: seeded, some tens of thousands of weights, well under a minute of one core."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audits.pixels import Floats, resize
from audits.stats import Doubles
from generators.networks.tensors import seeded

SIDE = 32
WIDTHS = (16, 32, 48)
BATCH = 64
N_STEPS = 400
LEARNING_RATE = 2e-3


class JudgeNetwork(nn.Module):
    """Images [n, C, S, S] in [0, 1] to logits [n, n_classes]."""

    def __init__(self, *, channels: int, side: int, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.GroupNorm(4, width), nn.ReLU()]
            if side >= 4:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            channels = width
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2))
        self.head = nn.Linear(channels * side**2, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body((images - 0.5) * 4))
        return logits


def fit_network(
    pixels: Floats, classes: NDArray[np.intp], n_classes: int, seed: int, n_steps: int = N_STEPS
) -> Callable[[Floats], Doubles]:
    """Train on images [N, C, H, W] with evenly drawn classes; what is returned gives probabilities [n, n_classes]."""
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(_small(pixels))
    truth = torch.from_numpy(classes)
    present = [np.flatnonzero(classes == number) for number in np.unique(classes)]
    with seeded(seed):
        network = JudgeNetwork(channels=images.shape[1], side=images.shape[2], n_classes=n_classes)
        optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
        for step in range(n_steps):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (1 - step / n_steps)
            rows = torch.from_numpy(_even_draw(present, rng))
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(images[rows]), truth[rows])
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
    network.eval()
    return lambda asked: _answers(network, asked)


def _even_draw(present: list[NDArray[np.intp]], rng: np.random.Generator) -> NDArray[np.intp]:
    chosen = rng.integers(len(present), size=BATCH)
    return np.array([present[number][rng.integers(len(present[number]))] for number in chosen], dtype=np.intp)


@torch.no_grad()
def _answers(network: JudgeNetwork, asked: Floats) -> Doubles:
    parts = [network(part).softmax(dim=1) for part in torch.split(torch.from_numpy(_small(asked)), 256)]
    return torch.cat(parts).numpy().astype(np.float64)


def _small(pixels: Floats) -> Floats:
    n, channels, height, width = pixels.shape
    if max(height, width) <= SIDE:
        return pixels
    return resize(pixels.reshape(n * channels, height, width), SIDE).reshape(n, channels, SIDE, SIDE)
