"""The convolutional halves that image networks share: images down to features, vectors up to images.

Upsampling and convolution, no transposed ones; GroupNorm, never BatchNorm: every image is processed on its own, as
gradients per subject need.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from generators.base import ConfigError, Progress

SAMPLE_CHUNK = 256
N_NORM_GROUPS = 8


def level_widths(size: int, width: int) -> list[int]:
    """Channels of each level, widest last; the side is halved once a level, down to 4 to 7 pixels.

    width: channels of the first level, a multiple of 8. Raises ConfigError for a side that cannot be halved so.
    """
    if width % N_NORM_GROUPS:
        raise ConfigError(f"is {width}", where="width", remedy=f"choose a multiple of {N_NORM_GROUPS}")
    n_levels, side = 0, size
    while side % 2 == 0 and side > 7:
        side, n_levels = side // 2, n_levels + 1
    if side > 7 or not n_levels:
        raise ConfigError(f"a side of {size} pixels", where="size", remedy="use 28, 32, 48, 64, 96 or 128")
    return [width * min(2**level, 4) for level in range(n_levels)]


class ConvDown(nn.Module):
    """Images [n, C, S, S] in [0, 1] to features [n, n_features]."""

    def __init__(self, *, size: int, channels: int, width: int) -> None:
        super().__init__()
        widths = level_widths(size, width)
        self.n_features = widths[-1] * (size // 2 ** len(widths)) ** 2
        # The first halving moves pixels into channels, so that no pixel is seen less than its neighbours.
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, widths[0], 3, padding=1)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.GroupNorm(N_NORM_GROUPS, before), nn.SiLU(), nn.Conv2d(before, after, 3, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images * 2 - 1)
        return features


class ConvUp(nn.Module):
    """Vectors [n, n_inputs] to images [n, C, S, S] in [0, 1]."""

    def __init__(self, *, n_inputs: int, size: int, channels: int, width: int) -> None:
        super().__init__()
        widths = level_widths(size, width)
        self.deepest, self.side = widths[-1], size // 2 ** len(widths)
        self.start = nn.Linear(n_inputs, self.deepest * self.side**2)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths[::-1]):
            layers += [nn.GroupNorm(N_NORM_GROUPS, before), nn.SiLU(), nn.Upsample(scale_factor=2)]
            layers += [nn.Conv2d(before, after, 3, padding=1)]
        # The last doubling by pixel shuffle: all wide convolutions work at half the side, yet each pixel is its own.
        fine = widths[0] // 2
        layers += [nn.GroupNorm(N_NORM_GROUPS, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], 4 * fine, 3, padding=1)]
        layers += [nn.PixelShuffle(2), nn.SiLU(), nn.Conv2d(fine, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, vectors: Tensor) -> Tensor:
        start = self.start(vectors).reshape(-1, self.deepest, self.side, self.side)
        images: Tensor = torch.sigmoid(self.layers(start))
        return images


@torch.no_grad()
def decode_in_chunks(
    decode: Callable[[Tensor, Tensor], Tensor], latents: Tensor, conditions: Tensor, progress: Progress
) -> Tensor:
    """Images [n, S, S, C] of latents [n, l] and conditions [n, c], a few at a time."""
    parts, n = [], len(latents)
    for start in range(0, n, SAMPLE_CHUNK):
        part = slice(start, start + SAMPLE_CHUNK)
        parts.append(decode(latents[part], conditions[part]))
        progress(min(start + SAMPLE_CHUNK, n), n, "decoding")
    return torch.cat(parts).movedim(1, -1)
