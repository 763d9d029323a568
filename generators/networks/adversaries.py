"""The two networks of `gan`: one draws images for conditions, the other scores them.

What conditions change starts at zero in both, so that a word which no public image bears means nothing until private
images say what. Both take conditions less their mean over the vocabulary: what sets all private images apart from the
public ones, far more than what a label changes, then cancels in the weights of the labels, where Adam's steps, alike
for large and small gradients, would drown the difference.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from generators.conditions import Vocabulary
from generators.networks.halves import ConvDown, ConvUp

N_SEEN = 64
N_LOOKS = 32
N_COARSE = 32
COARSE_SIDE = 16
# A direction in which public images vary less than this share of the widest is divided by the share instead.
LEAST_SPREAD = 1e-2


class GeneratorNetwork(nn.Module):
    """Latents [n, l] and conditions [n, c] to images [n, C, S, S] in [0, 1]. centre [c]: see the module."""

    centre: Tensor

    def __init__(self, *, size: int, channels: int, centre: Tensor, n_latents: int, width: int) -> None:
        super().__init__()
        self.n_latents = n_latents
        self.register_buffer("centre", centre, persistent=False)
        self.up = ConvUp(n_inputs=n_latents + len(centre), size=size, channels=channels, width=width)
        nn.init.zeros_(self.up.start.weight[:, n_latents:])

    def forward(self, latents: Tensor, conditions: Tensor) -> Tensor:
        images: Tensor = self.up(torch.cat([latents, conditions - self.centre], dim=1))
        return images

    def draw(self, conditions: Tensor) -> Tensor:
        """One image for each row of conditions."""
        latents = torch.randn(len(conditions), self.n_latents, device=conditions.device)
        images: Tensor = self(latents, conditions)
        return images


class Features(nn.Module):
    """Images [n, C, S, S] to N_LOOKS convolutional features of half the side, then N_COARSE linear ones of 16 pixels.

    At half the side: what a network says of single pixels, mostly noise, came out of the generator as checkerboards.
    """

    def __init__(self, *, size: int, channels: int, width: int) -> None:
        super().__init__()
        down = ConvDown(size=size // 2, channels=channels, width=width)
        self.seen = nn.Sequential(down, nn.Linear(down.n_features, N_SEEN), nn.SiLU())
        self.looks = nn.Linear(N_SEEN, N_LOOKS)
        self.coarse = nn.Linear(channels * COARSE_SIDE**2, N_COARSE)
        self.n_features = N_LOOKS + N_COARSE

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.looks(self._seen(images)), self.coarse(_coarse(images))], dim=1)

    @torch.no_grad()
    def settle(self, public: Tensor) -> None:
        """Make every feature one of its own over public images: mean 0, variance 1, no two correlated in their half.

        A person's clipped gradient is then spent on where people differ, not on what all images share.
        """
        whiten(self.looks, self._seen(public))
        whiten(self.coarse, _coarse(public))

    def _seen(self, images: Tensor) -> Tensor:
        seen: Tensor = self.seen(avg_pool2d(images, 2))
        return seen


class Discriminator(nn.Module):
    """Images and conditions to scores [n], positive for real: a projection of conditions (Miyato and Koyama 2018)."""

    centre: Tensor

    def __init__(self, *, size: int, channels: int, centre: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("centre", centre, persistent=False)
        self.features = Features(size=size, channels=channels, width=width)
        self.score = nn.Linear(self.features.n_features, 1)
        self.project = nn.Linear(len(centre), self.features.n_features, bias=False)
        self.forget()

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        features = self.features(images)
        scores: Tensor = self.score(features)[:, 0] + (self.project(conditions - self.centre) * features).sum(1)
        return scores

    @torch.no_grad()
    def forget(self) -> None:
        """Score every image 0: what is said of features is learned anew."""
        for value in (self.score.weight, self.score.bias, self.project.weight):
            value.zero_()


def mean_conditions(vocabulary: Vocabulary) -> Tensor:
    """[c]: the mean of `any_conditions`, where a group is as often left open as any of its words."""
    labels, sexes, ages = len(vocabulary.labels), len(vocabulary.sexes), len(vocabulary.age_groups)
    return torch.cat(
        [torch.full((n,), 1 / total) for n, total in ((labels, max(labels, 1)), (sexes, sexes + 1), (ages, ages + 1))]
    )


@torch.no_grad()
def whiten(layer: nn.Linear, inputs: Tensor) -> None:
    """Give `layer` the leading principal directions of its inputs [n, d], each divided by its deviation."""
    mean = inputs.mean(0)
    centred = (inputs - mean).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(inputs))
    leading = slice(-min(layer.out_features, len(values)), None)
    deviation = values[leading].clamp_min(0).sqrt()
    spread = deviation.clamp_min(LEAST_SPREAD * float(deviation.max())).clamp_min(1e-6)
    weight = torch.zeros_like(layer.weight)
    weight[: len(spread)] = (vectors[:, leading] / spread).T.to(weight)
    layer.weight.copy_(weight)
    layer.bias.copy_(-weight @ mean)


def _coarse(images: Tensor) -> Tensor:
    return adaptive_avg_pool2d(images, COARSE_SIDE).flatten(1)
