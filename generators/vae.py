"""`vae`: a conditional variational autoencoder, learned from public images, then made the cohort's within the budget.

Kingma and Welling 2014, conditioned on label, sex and age group. Encoder and decoder learn from public images; the
encoder then stays as it is. Private images enter twice: one noisy release says where their latents lie (`vae_latents`),
and DP-SGD trains the decoder alone, which halves the weights that noise is added to. Where no public step is asked for
there is no encoder to trust: both halves are trained by DP-SGD and latents come from the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from generators.accounting import release_noise
from generators.base import CellCount, GeneratorCard, Progress, Run
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.folder import load_card, save_tensors
from generators.gradients.subjects import Loss
from generators.latent.release import planned_events
from generators.networks.checkpoints import load_network, network_tensors, read_tensors
from generators.networks.halves import SAMPLE_CHUNK, ConvDown, ConvUp, decode_in_chunks
from generators.networks.tensors import image_tensor, n_conditions, one_hot, pick_device, seeded
from generators.public.images import public_entry, public_or_phantoms
from generators.public.pretraining import pretrain
from generators.releases.vae_latents import FILE as LATENTS
from generators.releases.vae_latents import SHARES, PublicPosterior, draw_latents, release_latents
from generators.training import PrivateSettings, reserve_plan, train_network

NAME = "vae"
WEIGHTS = "network.safetensors"
PIXEL_STD = 0.1
PUBLIC_LEARNING_RATE = 2e-3


@dataclass(frozen=True, kw_only=True)
class VaeConfig(PrivateSettings):
    """Settings, those of the private loop first."""

    batch_size: int = setting(100, "expected subjects a step", low=1, changes_privacy=True)
    n_steps: int = setting(40, "private steps of the decoder", low=1, high=1_000_000, changes_privacy=True)
    learning_rate: float = setting(2e-3, "Adam's rate for private steps", low=1e-7, high=1)
    average: float = setting(0.8, "decay of the moving average of weights that is kept; 0 for none", low=0, high=1)
    views: int = setting(1, "images of one subject, or views of them, that one step looks at", low=1, high=64)
    latents_share: float = setting(
        0.5,
        "share of the budget for the release of latents; the rest trains the decoder",
        low=0.01,
        high=0.99,
        changes_privacy=True,
    )
    n_latents: int = setting(32, "latent dimensions", low=1, high=1024)
    width: int = setting(16, "channels of the first layer, a multiple of 8", low=8, high=512)
    public_steps: int = setting(400, "steps on public images before the private ones; 0 for none", low=0)


class VaeNetwork(nn.Module):
    """Images [n, C, S, S] and conditions [n, c] to reconstructions, means and log variances."""

    def __init__(self, *, size: int, channels: int, n_conditions: int, n_latents: int, width: int) -> None:
        super().__init__()
        self.n_latents = n_latents
        self.down = ConvDown(size=size, channels=channels, width=width)
        self.to_latent = nn.Linear(self.down.n_features + n_conditions, 2 * n_latents)
        self.decoder = ConvUp(n_inputs=n_latents + n_conditions, size=size, channels=channels, width=width)

    def forward(self, images: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encode(images, conditions)
        return self.decode(drawn_latents(mean, log_variance), conditions), mean, log_variance

    def encode(self, images: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances [n, l] of the posterior."""
        latent = self.to_latent(torch.cat([self.down(images), conditions], dim=1))
        return latent[:, : self.n_latents], latent[:, self.n_latents :].clamp(-8, 8)

    def decode(self, latents: Tensor, conditions: Tensor) -> Tensor:
        images: Tensor = self.decoder(torch.cat([latents, conditions], dim=1))
        return images


def drawn_latents(mean: Tensor, log_variance: Tensor) -> Tensor:
    return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()


def vae_loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
    """The negative evidence bound of each image [n], a pixel: squared error at PIXEL_STD plus divergence."""
    decoded, mean, log_variance = network(images, conditions)
    error = (decoded - images).square().flatten(1).mean(1) / (2 * PIXEL_STD**2)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    bound: Tensor = error + divergence / images[0].numel()
    return bound


def decoder_loss(n_latents: int) -> Loss:
    """The squared error of the decoder alone; `given` is [mean, log variance, condition words] side by side."""

    def loss(network: nn.Module, images: Tensor, given: Tensor) -> Tensor:
        mean, log_variance = given[:, :n_latents], given[:, n_latents : 2 * n_latents]
        latents = drawn_latents(mean, log_variance)
        decoded = network(torch.cat([latents, given[:, 2 * n_latents :]], dim=1))
        error: Tensor = (decoded - images).square().flatten(1).mean(1) / (2 * PIXEL_STD**2)
        return error

    return loss


class ConditionalVae:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = VaeConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. `run.seed` repeats the initial weights and the public steps, nothing private."""
        settings = build_config(VaeConfig, run.config)
        vocabulary = Vocabulary.of(run.images, settings.labels)
        images = image_tensor(run.images)
        conditions = one_hot(vocabulary, vocabulary.numbers(run.images))
        network = new_network(settings, vocabulary, run.images.images.shape[1], run.images.channels, seed=run.seed)
        network = network.to(pick_device(run.device))
        if settings.public_steps:
            _train_decoder(network, images, conditions, settings, vocabulary, run)
        else:
            plan = settings.plan(run.budget)
            train_network(network, vae_loss, run, settings, images=images, conditions=conditions, plan=plan)
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
        """See the protocol. Latents come from the released posterior, one a synthetic image."""
        card = load_card(folder)
        vocabulary = card_vocabulary(card)
        settings = build_config(VaeConfig, card.config)
        network = new_network(settings, vocabulary, card.image_size, card.channels, seed=0)
        load_network(network, read_tensors(folder / WEIGHTS))
        cells = vocabulary.cells(counts)
        numbers = vocabulary.numbers(cells)
        if (folder / LATENTS).exists():
            latents = draw_latents(folder, vocabulary, numbers, seed=seed)
        else:
            latents = torch.randn(len(cells), network.n_latents, generator=torch.Generator().manual_seed(seed))
        pixels = decode_in_chunks(network.decode, latents, one_hot(vocabulary, numbers), progress)
        return synthetic_set(pixels.numpy(), cells, card)


def _train_decoder(
    network: VaeNetwork, images: Tensor, conditions: Tensor, settings: VaeConfig, vocabulary: Vocabulary, run: Run
) -> None:
    """Public steps, the release of latents, private steps of the decoder. Changes `network`."""
    shown = public_or_phantoms(run.public, run.images)
    public, known = image_tensor(shown), one_hot(vocabulary, vocabulary.known_numbers(shown))
    pretrain(
        network,
        vae_loss,
        public,
        known,
        n_steps=settings.public_steps,
        learning_rate=PUBLIC_LEARNING_RATE,
        seed=run.seed,
        progress=run.progress,
    )
    latents_noise = release_noise(run.budget, share=settings.latents_share)
    plan = settings.plan(run.budget, planned_events(latents_noise, SHARES))
    reserve_plan(plan, run)
    posterior = _encoded(network, images, conditions)
    release_latents(
        posterior[0],
        PublicPosterior.of(*_encoded(network, public, known)),
        vocabulary,
        run,
        noise_multiplier=latents_noise,
    )
    given = torch.cat([*posterior, conditions], dim=1)
    loss = decoder_loss(settings.n_latents)
    train_network(network.decoder, loss, run, settings, images=images, conditions=given, plan=plan)


@torch.no_grad()
def _encoded(network: VaeNetwork, images: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior means and log variances [n, l] on the CPU."""
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(images), SAMPLE_CHUNK):
        part = slice(start, start + SAMPLE_CHUNK)
        parts.append(torch.cat(network.encode(images[part].to(device), conditions[part].to(device)), dim=1).cpu())
    both = torch.cat(parts)
    return both[:, : network.n_latents], both[:, network.n_latents :]


def new_network(settings: VaeConfig, vocabulary: Vocabulary, size: int, channels: int, *, seed: int) -> VaeNetwork:
    """Initial weights; repeats by seed."""
    with seeded(seed):
        return VaeNetwork(
            size=size,
            channels=channels,
            n_conditions=n_conditions(vocabulary),
            n_latents=settings.n_latents,
            width=settings.width,
        )
