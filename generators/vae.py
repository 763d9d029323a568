"""`vae`: a conditional variational autoencoder, pretrained on public images, then trained by DP-SGD.

Kingma and Welling 2014, conditioned on label, sex and age group. Convolutions with upsampling (no transposed ones)
and GroupNorm: every image is processed on its own, as gradients per subject need.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generators.base import CellCount, ConfigError, GeneratorCard, Progress, SpendRecorder
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.folder import load_card, load_tensors, save_tensors
from generators.privacy import PrivacyBudget
from generators.public_basis import unit_pixels
from generators.public_images import public_entry, public_or_phantoms
from generators.training import (
    SubjectData,
    load_network,
    make_plan,
    network_tensors,
    reserve_plan,
    train_privately,
)

NAME = "vae"
WEIGHTS = "network.safetensors"
PIXEL_STD = 0.1
SAMPLE_CHUNK = 256
PUBLIC_BATCH = 32
PUBLIC_LEARNING_RATE = 2e-3


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """Settings. The first three enter the guarantee, which the noise is then calibrated to; the others do not."""

    batch_size: int = setting(48, "expected subjects a step", low=1, changes_privacy=True)
    n_steps: int = setting(120, "private steps", low=1, high=1_000_000, changes_privacy=True)
    max_grad_norm: float = setting(1.0, "clipping norm of a subject's gradient", low=1e-6, changes_privacy=True)
    n_latents: int = setting(16, "latent dimensions", low=1, high=1024)
    width: int = setting(16, "channels of the first layer, a multiple of 8", low=8, high=512)
    learning_rate: float = setting(1e-3, "Adam's rate for private steps", low=1e-7, high=1)
    public_steps: int = setting(200, "steps on public images before the private ones; 0 for none", low=0)
    most_images: int = setting(2, "images of one subject that enter one step", low=1, high=64)
    microbatch: int = setting(16, "subjects computed at once: memory and speed", low=1)
    checkpoint_every: int = setting(20, "steps between checkpoints", low=1)
    labels: str = setting("", "the public label vocabulary, comma-separated; empty: the cohort's own words")


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

    def train(
        self,
        images: ImageSet,
        *,
        budget: PrivacyBudget,
        config: Mapping[str, object],
        out: Path,
        seed: int,
        public: ImageSet | None,
        device: str,
        recorder: SpendRecorder,
        progress: Progress,
        resume: bool,  # noqa: ARG002 (the protocol's; the log and the checkpoint say what is left)
    ) -> GeneratorCard:
        """See the protocol. `seed` repeats the initial weights and the public steps, nothing private."""
        settings = build_config(VaeConfig, config)
        vocabulary = Vocabulary.of(images, settings.labels)
        plan = make_plan(
            budget,
            batch_size=settings.batch_size,
            n_steps=settings.n_steps,
            max_grad_norm=settings.max_grad_norm,
        )
        place = _device(device)
        network = _pretrained(settings, vocabulary, images, public, seed=seed, progress=progress).to(place)
        data = SubjectData(
            images=_pixels(images).to(place),
            conditions=one_hot(vocabulary, vocabulary.numbers(images)).to(place),
            owner=np.unique(images.subjects(), return_inverse=True)[1],
            most_images=settings.most_images,
        )
        reserve_plan(plan, budget, privacy_unit=images.privacy_unit, out=out, recorder=recorder)
        train_privately(
            network,
            vae_loss,
            data,
            plan=plan,
            learning_rate=settings.learning_rate,
            microbatch=settings.microbatch,
            checkpoint_every=settings.checkpoint_every,
            out=out,
            recorder=recorder,
            progress=progress,
        )
        save_tensors(out / WEIGHTS, network_tensors(network))
        return finish_run(
            out,
            name=NAME,
            config=asdict(settings),
            images=images,
            budget=budget,
            vocabulary=vocabulary,
            public_data=[public_entry(public, "pretraining")] if settings.public_steps else [],
            seed=seed,
            packages=("torch", "opacus", "scipy"),
            recorder=recorder,
        )

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """See the protocol. Latents come from the prior, one a synthetic image."""
        card = load_card(folder)
        vocabulary = card_vocabulary(card)
        network = _network(build_config(VaeConfig, card.config), vocabulary, card.image_size, card.channels)
        load_network(network, {name: torch.from_numpy(value) for name, value in load_tensors(folder / WEIGHTS).items()})
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


def one_hot(vocabulary: Vocabulary, numbers: NDArray[np.intp]) -> Tensor:
    """Conditions [N, c] of `Vocabulary.numbers`; zeros where one is unknown."""
    sizes = (len(vocabulary.labels), len(vocabulary.sexes), len(vocabulary.age_groups))
    rows = [np.eye(size + 1, dtype=np.float32)[column][:, :size] for size, column in zip(sizes, numbers.T, strict=True)]
    return torch.from_numpy(np.concatenate(rows, axis=1))


def _network(settings: VaeConfig, vocabulary: Vocabulary, size: int, channels: int) -> VaeNetwork:
    return VaeNetwork(
        size=size,
        channels=channels,
        n_conditions=len(vocabulary.labels) + len(vocabulary.sexes) + len(vocabulary.age_groups),
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


def _pixels(images: ImageSet) -> Tensor:
    """[N, C, S, S] in [0, 1]."""
    side = images.images.shape[1]
    return torch.from_numpy(unit_pixels(images)).reshape(len(images), side, side, images.channels).movedim(-1, 1)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device found", where="device", remedy="use --device auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _pretrained(
    settings: VaeConfig,
    vocabulary: Vocabulary,
    images: ImageSet,
    public: ImageSet | None,
    *,
    seed: int,
    progress: Progress,
) -> VaeNetwork:
    """Initial weights, then steps on public images whose words the vocabulary knows; repeats by seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _network(settings, vocabulary, images.images.shape[1], images.channels)
        if settings.public_steps:
            shown = public_or_phantoms(public, images)
            pixels, conditions = _pixels(shown), one_hot(vocabulary, vocabulary.known_numbers(shown))
            optimizer = torch.optim.Adam(network.parameters(), lr=PUBLIC_LEARNING_RATE)
            for step in range(settings.public_steps):
                batch = torch.randint(len(pixels), (PUBLIC_BATCH,))
                optimizer.zero_grad()
                loss = vae_loss(network, pixels[batch], conditions[batch]).mean()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
                progress(step + 1, settings.public_steps, "pretraining on public images")
    return network
