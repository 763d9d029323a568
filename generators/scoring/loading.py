"""From a generator's folder to its scorer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from generators.base import ConfigError, GeneratorCard
from generators.folder import load_card
from generators.scoring import networks
from generators.scoring.base import ImageScorer
from generators.scoring.gaussian import GaussianScorer

_LOADERS: Mapping[str, Callable[[Path, GeneratorCard], ImageScorer]] = {
    "vae": networks.vae_scorer,
    "diffusion": networks.diffusion_scorer,
    "lora": networks.lora_scorer,
    "latent-diffusion": networks.latent_diffusion_scorer,
    "gan": networks.gan_scorer,
    "latent-statistics": GaussianScorer.load,
}


def load_scorer(folder: Path) -> ImageScorer:
    """The scorer of a finished folder. Raises ConfigError for a family whose weights score no image, ResumeError."""
    card = load_card(folder)
    if card.name not in _LOADERS:
        raise ConfigError(
            f"the weights of {card.name} score no single image", where=str(folder), remedy="audit its samples alone"
        )
    return _LOADERS[card.name](folder, card)
