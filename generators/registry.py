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
    "private-evolution": Entry(
        target="generators.private_evolution:PrivateEvolution",
        summary="candidates of a simulator, kept and varied by noisy votes of the private images",
    ),
    "vae": Entry(
        target="generators.vae:ConditionalVae",
        summary="conditional variational autoencoder trained by DP-SGD, one gradient a subject",
    ),
}


def get_generator(name: str) -> Generator:
    """The generator of that name. Raises ConfigError for an unknown one."""
    if name not in GENERATORS:
        raise ConfigError(f"no generator {name!r}", where="generator", remedy=f"choose among {', '.join(GENERATORS)}")
    module, _, cls = GENERATORS[name].target.partition(":")
    return cast("Generator", getattr(import_module(module), cls)())
