"""The generators by name. A generator is one file and one line here; listing them loads none of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import cast

from generators.base import ConfigError, Generator


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Where a generator is (`module:Class`) and what it is in a line."""

    target: str
    summary: str


GENERATORS = {
    "latent-statistics": Entry(
        target="generators.latent_statistics:LatentStatistics",
        summary="one noisy release of latent statistics in a public basis; best up to about 2,000 subjects",
    ),
    "latent-diffusion": Entry(
        target="generators.latent_diffusion:LatentDiffusion",
        summary="a denoiser in the public latent space, taught by released statistics, then refined by DP-SGD",
    ),
    "private-evolution": Entry(
        target="generators.private_evolution:PrivateEvolution",
        summary="candidates of a simulator, kept and varied by noisy votes of the private images",
    ),
    "vae": Entry(
        target="generators.vae:ConditionalVae",
        summary="conditional variational autoencoder trained by DP-SGD, one gradient a subject",
    ),
    "diffusion": Entry(
        target="generators.diffusion:PixelDiffusion",
        summary="pixel diffusion warmed up on noisy central images, then trained by DP-SGD, one gradient a subject",
    ),
    "gan": Entry(
        target="generators.gan:PrivateGan",
        summary="conditional adversarial network; its discriminator alone sees private images, by DP-SGD",
    ),
    "lora": Entry(
        target="generators.lora:LowRankDiffusion",
        summary="a public diffusion network from a local folder, adapted by DP-SGD on few weights",
    ),
    "mean-embedding": Entry(
        target="generators.mean_embedding:MeanEmbedding",
        summary="one noisy release of mean random features, then a network trained to match it for free; a peer",
    ),
}


def get_generator(name: str) -> Generator:
    """The generator of that name. Raises ConfigError for an unknown one."""
    if name not in GENERATORS:
        raise ConfigError(f"no generator {name!r}", where="generator", remedy=f"choose among {', '.join(GENERATORS)}")
    module, _, cls = GENERATORS[name].target.partition(":")
    return cast("Generator", getattr(import_module(module), cls)())
