"""The default extractor: a small network that learns, on auditor-only images, to name how an image was spoilt.

Contrastive training on blurred and noisy views would teach it to overlook exactly what fidelity asks about. Naming the
flaw instead (after Madhusudana et al. 2022, CONTRIQUE, arXiv:2110.13266) makes it look at texture and structure. It
never sees an arm under test.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from audits.embeddings.flaws import FLAWS
from audits.embeddings.plain import N_COMPONENTS, Embedding, projection
from audits.pixels import Floats, Greys, resize, small
from generators.networks.tensors import seeded

MAX_SIDE, MIN_SIDE = 64, 16
WIDTHS = (16, 32, 48)
IMAGES_A_FLAW = 6
N_STEPS = 220
LEARNING_RATE = 3e-3
BLOCK = 256


class FlawNetwork(nn.Module):
    """Images [n, 1, S, S] in [0, 1], S a multiple of 8, to logits [n, flaws]."""

    def __init__(self) -> None:
        super().__init__()
        stages, channels = [], 1
        for width, kernel in zip(WIDTHS, (5, 3, 3), strict=True):
            convolution = nn.Conv2d(channels, width, kernel, stride=2, padding=kernel // 2)
            stages.append(nn.Sequential(convolution, nn.GroupNorm(4, width), nn.ReLU()))
            channels = width
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(2 * sum(WIDTHS), len(FLAWS))

    def features(self, images: Tensor) -> Tensor:
        """[n, 192]: mean and spread of every channel of every stage."""
        now, found = (images - 0.5) * 4, []
        for stage in self.stages:
            now = stage(now)
            mean = now.mean(dim=(2, 3))
            variance = now.square().mean(dim=(2, 3)) - mean.square()  # several times faster than var on a CPU
            found += [mean, (variance.clamp_min(0) + 1e-6).sqrt()]
        return torch.cat(found, dim=1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def trained_network(control: Greys, *, seed: int) -> Embedding:
    """Train on grey images [N, H, W] of the control arm, N > 64; seeded, some seconds of one core."""
    side = min(MAX_SIDE, max(MIN_SIDE, min(control.shape[1:]) // 8 * 8))
    shown = small(control, side)
    network = _train(shown, seed=seed)
    project = projection(_features(network, shown))
    return Embedding(
        name=f"network trained on the control arm to name flaws, {N_COMPONENTS} components",
        extract=lambda grey: project(_features(network, resize(grey, side))),
    )


def _train(shown: Floats, *, seed: int) -> FlawNetwork:
    rng = np.random.default_rng(seed)
    truth = torch.arange(len(FLAWS)).repeat_interleave(IMAGES_A_FLAW)
    with seeded(seed):
        network = FlawNetwork()
        optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=N_STEPS)
        for _ in range(N_STEPS):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(_spoilt(shown, rng)), truth)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
    return network.eval()


def _spoilt(shown: Floats, rng: np.random.Generator) -> Tensor:
    """[flaws x 6, 1, C, C]: images drawn and flipped at random, spoilt flaw by flaw, and cropped to three quarters."""
    side, crop, parts = shown.shape[1], shown.shape[1] * 3 // 4, []
    for flaw in FLAWS:
        drawn = shown[rng.integers(len(shown), size=IMAGES_A_FLAW)][:, :, :: rng.choice((-1, 1))]
        top, left = rng.integers(0, side - crop + 1, 2)
        parts.append(flaw(drawn, rng)[:, top : top + crop, left : left + crop])
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))[:, None]


@torch.no_grad()
def _features(network: FlawNetwork, shown: Floats) -> Floats:
    images = torch.from_numpy(shown)[:, None]
    blocks = [network.features(images[start : start + BLOCK]) for start in range(0, len(images), BLOCK)]
    return np.asarray(torch.cat(blocks).numpy(), dtype=np.float32)
