"""`vae`: a conditional variational autoencoder, pretrained on public images, then trained by DP-SGD.

Kingma and Welling 2014, conditioned on label, sex and age group. Convolutions with upsampling (no transposed ones)
and GroupNorm: every image is processed on its own, as gradients per subject need.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from generators.base import CellCount, ConfigError, GeneratorCard, Progress, Run
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.checkpoints import load_network, network_tensors, read_tensors
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.folder import load_card, save_tensors
from generators.pretraining import pretrain
from generators.public_images import public_entry, public_or_phantoms
from generators.tensors import image_tensor, n_conditions, one_hot, pick_device
from generators.training import PrivateSettings, make_plan, train_network

NAME = "vae"
WEIGHTS = "network.safetensors"
PIXEL_STD = 0.1
SAMPLE_CHUNK = 256
PUBLIC_LEARNING_RATE = 2e-3


@dataclass(frozen=True, kw_only=True)
class VaeConfig(PrivateSettings):
    """Settings, those of the private loop first."""

    n_latents: int = setting(16, "latent dimensions", low=1, high=1024)
    width: int = setting(16, "channels of the first layer, a multiple of 8", low=8, high=512)
    public_steps: int = setting(200, "steps on public images before the private ones; 0 for none", low=0)


class VaeNetwork(nn.Module):
    """Images [n, C, S, S] and conditions [n, c] to reconstructions, means and log variances."""

    def __init__(self, *, size: int, channels: int, n_conditions: int, n_latents: int, width: int) -> None:
        super().__init__()
        halvings = _halvings(size)
        widths = [width * min(2**level, 4) for level in range(halvings)]
        self.n_latents, self.side, self.deepest = n_latents, size // 2**halvings, widths[-1]
        flat = self.deepest * self.side**2
        down: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, stride=2, padding=1)]
        for before, after in itertools.pairwise(widths):
            down += [nn.GroupNorm(8, before), nn.SiLU(), nn.Conv2d(before, after, 3, stride=2, padding=1)]
        self.down = nn.Sequential(*down, nn.SiLU(), nn.Flatten())
        self.to_latent = nn.Linear(flat + n_conditions, 2 * n_latents)
        self.from_latent = nn.Linear(n_latents + n_conditions, flat)
        up: list[nn.Module] = []
        for before, after in itertools.pairwise(widths[::-1]):
            up += [nn.GroupNorm(8, before), nn.SiLU(), nn.Upsample(scale_factor=2)]
            up += [nn.Conv2d(before, after, 3, padding=1)]
        # The full side is met by one narrow convolution only: it would cost more than all the others together.
        up += [nn.GroupNorm(8, widths[0]), nn.SiLU(), nn.Upsample(scale_factor=2)]
        self.up = nn.Sequential(*up, nn.Conv2d(widths[0], channels, 3, padding=1))

    def forward(self, images: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        latent = self.to_latent(torch.cat([self.down(images * 2 - 1), conditions], dim=1))
        mean, log_variance = latent[:, : self.n_latents], latent[:, self.n_latents :].clamp(-8, 8)
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decode(drawn, conditions), mean, log_variance

    def decode(self, latents: Tensor, conditions: Tensor) -> Tensor:
        start = self.from_latent(torch.cat([latents, conditions], dim=1))
        image: Tensor = torch.sigmoid(self.up(start.reshape(-1, self.deepest, self.side, self.side)))
        return image


def vae_loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
    """The negative evidence bound of each image [n], a pixel: squared error at PIXEL_STD plus divergence."""
    decoded, mean, log_variance = network(images, conditions)
    error = (decoded - images).square().flatten(1).mean(1) / (2 * PIXEL_STD**2)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    bound: Tensor = error + divergence / images[0].numel()
    return bound


class ConditionalVae:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = VaeConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. `run.seed` repeats the initial weights and the public steps, nothing private."""
        settings = build_config(VaeConfig, run.config)
        vocabulary = Vocabulary.of(run.images, settings.labels)
        plan = make_plan(
            run.budget,
            batch_size=settings.batch_size,
            n_steps=settings.n_steps,
            max_grad_norm=settings.max_grad_norm,
        )
        network = _pretrained(settings, vocabulary, run).to(pick_device(run.device))
        train_network(
            network,
            vae_loss,
            run,
            settings,
            images=image_tensor(run.images),
            conditions=one_hot(vocabulary, vocabulary.numbers(run.images)),
            plan=plan,
        )
        save_tensors(run.out / WEIGHTS, network_tensors(network))
        return finish_run(
            run,
            name=NAME,
            settings=settings,
            vocabulary=vocabulary,
            public_data=[public_entry(run.public, "pretraining")] if settings.public_steps else [],
            packages=("torch", "opacus", "scipy"),
        )

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """See the protocol. Latents come from the prior, one a synthetic image."""
        card = load_card(folder)
        vocabulary = card_vocabulary(card)
        network = _network(build_config(VaeConfig, card.config), vocabulary, card.image_size, card.channels)
        load_network(network, read_tensors(folder / WEIGHTS))
        cells = vocabulary.cells(counts)
        conditions = one_hot(vocabulary, vocabulary.numbers(cells))
        latents = torch.randn(len(cells), network.n_latents, generator=torch.Generator().manual_seed(seed))
        parts = []
        with torch.no_grad():
            for start in range(0, len(cells), SAMPLE_CHUNK):
                part = slice(start, start + SAMPLE_CHUNK)
                parts.append(network.decode(latents[part], conditions[part]))
                progress(min(start + SAMPLE_CHUNK, len(cells)), len(cells), "decoding")
        return synthetic_set(torch.cat(parts).movedim(1, -1).numpy(), cells, card)


def _network(settings: VaeConfig, vocabulary: Vocabulary, size: int, channels: int) -> VaeNetwork:
    return VaeNetwork(
        size=size,
        channels=channels,
        n_conditions=n_conditions(vocabulary),
        n_latents=settings.n_latents,
        width=settings.width,
    )


def _halvings(size: int) -> int:
    """How often the side is halved, down to 4 to 7 pixels. Raises ConfigError for a side that cannot be."""
    halvings, side = 0, size
    while side % 2 == 0 and side > 7:
        side, halvings = side // 2, halvings + 1
    if side > 7 or not halvings:
        raise ConfigError(f"a side of {size} pixels", where="size", remedy="use 28, 32, 48, 64, 96 or 128")
    return halvings


def _pretrained(settings: VaeConfig, vocabulary: Vocabulary, run: Run) -> VaeNetwork:
    """Initial weights, then steps on public images whose words the vocabulary knows; repeats by seed."""
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        network = _network(settings, vocabulary, run.images.images.shape[1], run.images.channels)
    if settings.public_steps:
        shown = public_or_phantoms(run.public, run.images)
        pretrain(
            network,
            vae_loss,
            image_tensor(shown),
            one_hot(vocabulary, vocabulary.known_numbers(shown)),
            n_steps=settings.public_steps,
            learning_rate=PUBLIC_LEARNING_RATE,
            seed=run.seed,
            progress=run.progress,
        )
    return network
