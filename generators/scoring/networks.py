"""The scorers of families whose weights are a network: a loss at fixed draws, or a discriminator's answer.

For diffusion the denoising error at fixed noise levels and fixed noise (Carlini et al. 2023, arXiv:2301.13188;
Matsumoto et al. 2023, arXiv:2302.03262); for `vae` the evidence bound (Hilprecht et al. 2019); for `gan` the
discriminator (Hayes et al. 2019), which a finished folder holds in its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from generators import diffusion, gan, latent_diffusion, lora, vae
from generators.base import GeneratorCard, ResumeError
from generators.cards import card_vocabulary
from generators.config import build_config
from generators.latent.denoiser import LOG_MEAN, LOG_STD, LatentDenoiser
from generators.latent.denoiser import denoising_loss as latent_loss
from generators.latent.space import LatentSpace
from generators.latent_statistics import BASIS
from generators.networks.adversaries import Discriminator, mean_conditions
from generators.networks.checkpoints import load_network, read_tensors
from generators.networks.denoising import Denoiser, NoiseProcess, denoising_loss
from generators.networks.tensors import image_tensor, pick_device
from generators.scoring.base import NetworkScorer, minus_log
from generators.training import CHECKPOINT
from generators.vae import PIXEL_STD, VaeNetwork

Network = TypeVar("Network", bound=nn.Module)

N_DRAWS = 4
# Of the noise levels that were trained, the least noise first: what is learned by heart shows where some of it is left.
LEVELS = (0.05, 0.1, 0.2, 0.35, 0.5)
# And for latents, in deviations of the logarithm that training draws.
LATENT_LEVELS = (-1.5, -0.75, 0.0, 0.75)


def vae_scorer(folder: Path, card: GeneratorCard) -> NetworkScorer:
    """Minus the logarithm of the negative evidence bound."""
    settings = build_config(vae.VaeConfig, card.config)
    network = vae.new_network(settings, card_vocabulary(card), card.image_size, card.channels, seed=0)
    return NetworkScorer(
        card=card,
        network=_loaded(network, folder / vae.WEIGHTS),
        inputs=image_tensor,
        score=_evidence,
        loss=vae.vae_loss,
    )


def diffusion_scorer(folder: Path, card: GeneratorCard) -> NetworkScorer:
    """Denoising errors of the levels that the family trains."""
    settings = build_config(diffusion.DiffusionConfig, card.config)
    network = diffusion.new_network(settings, card_vocabulary(card), card.image_size, card.channels)
    process = NoiseProcess.of_pixels(settings.prediction)
    return _denoiser(folder / diffusion.WEIGHTS, card, network, process, settings.drawing(process).strength)


def lora_scorer(folder: Path, card: GeneratorCard) -> NetworkScorer:
    """Denoising errors of the whole network, adapters merged."""
    network, process = lora.described_network(folder, card)
    return _denoiser(folder / lora.WEIGHTS, card, network, process, 1.0)


def latent_diffusion_scorer(folder: Path, card: GeneratorCard) -> NetworkScorer:
    """Denoising errors of the latents."""
    settings = build_config(latent_diffusion.LatentDiffusionConfig, card.config)
    vocabulary, space = card_vocabulary(card), LatentSpace.load(folder / BASIS)
    network = latent_diffusion.new_network(settings, vocabulary, space, seed=0)
    sizes = len(vocabulary.labels), len(vocabulary.sexes), len(vocabulary.age_groups)
    return NetworkScorer(
        card=card,
        network=_loaded(network, folder / latent_diffusion.WEIGHTS),
        inputs=partial(latent_diffusion.scaled_latents, space=space),
        score=_latent_errors,
        loss=latent_loss(sizes, data_std=network.data_std, dropped=latent_diffusion.DROPPED),
    )


def gan_scorer(folder: Path, card: GeneratorCard) -> NetworkScorer:
    """The discriminator's answer. Raises ResumeError where the folder does not hold it."""
    if not (folder / CHECKPOINT).exists():
        raise ResumeError("holds no discriminator", where=str(folder), remedy="keep the checkpoint beside the weights")
    settings, vocabulary = build_config(gan.GanConfig, card.config), card_vocabulary(card)
    drawing = gan.new_generator(settings, vocabulary, card.image_size, card.channels)
    network = Discriminator(
        size=card.image_size, channels=card.channels, centre=mean_conditions(vocabulary), width=settings.width
    )
    return NetworkScorer(
        card=card,
        network=_loaded(network, folder / CHECKPOINT),
        inputs=image_tensor,
        score=_answer,
        loss=gan.discriminator_loss(_loaded(drawing, folder / gan.WEIGHTS)),
    )


def _denoiser(
    weights: Path, card: GeneratorCard, network: Denoiser, process: NoiseProcess, strength: float
) -> NetworkScorer:
    return NetworkScorer(
        card=card,
        network=_loaded(network, weights),
        inputs=image_tensor,
        score=_pixel_errors(process, strength),
        loss=denoising_loss(process, condition_dropout=0.0, n_labels=len(card.labels), strength=strength),
    )


def _loaded(network: Network, weights: Path) -> Network:
    load_network(network, read_tensors(weights))
    return network.to(pick_device("auto"))


def _fixed_noise(*shape: int) -> Tensor:
    """The same numbers at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _evidence(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
    network = cast("VaeNetwork", network)
    mean, log_variance = network.encode(images, conditions)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / images[0].numel()
    losses = []
    for noise in _fixed_noise(N_DRAWS, 1, network.n_latents).to(images):
        decoded = network.decode(mean + noise * (0.5 * log_variance).exp(), conditions)
        losses.append((decoded - images).square().flatten(1).mean(1) / (2 * PIXEL_STD**2) + divergence)
    return minus_log(torch.stack(losses))


def _pixel_errors(process: NoiseProcess, strength: float) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    scheduler = process.training()
    last = int(process.config["num_train_timesteps"] * strength) - 1
    prediction = process.config.get("prediction_type")

    def score(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
        clean, losses = images * 2 - 1, []
        for level, noise in zip(LEVELS, _fixed_noise(len(LEVELS), 1, *images.shape[1:]).to(images), strict=True):
            at: Any = torch.full((len(images),), max(0, round(last * level)), device=images.device)
            drawn = noise.expand_as(clean)
            target = clean if prediction == "sample" else drawn
            if prediction == "v_prediction":
                target = scheduler.get_velocity(clean, drawn, at)
            predicted = network(scheduler.add_noise(clean, drawn, at), at, conditions)
            losses.append((predicted - target).square().flatten(1).mean(1))
        return minus_log(torch.stack(losses))

    return score


def _latent_errors(network: nn.Module, latents: Tensor, conditions: Tensor) -> Tensor:
    network = cast("LatentDenoiser", network)
    levels = network.data_std * (LOG_MEAN + LOG_STD * torch.tensor(LATENT_LEVELS)).exp()
    losses = []
    for level in levels.tolist():
        for noise in _fixed_noise(N_DRAWS, 1, network.n_latents).to(latents):
            at = torch.full((len(latents),), level, device=latents.device)
            denoised = network(latents + level * noise, at, conditions)
            losses.append((denoised - latents).square().mean(1))
    return minus_log(torch.stack(losses))


def _answer(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
    answer: Tensor = network(images, conditions)
    return answer
