"""What peers can be told with `--set peer-NAME.key=value`."""

from __future__ import annotations

from dataclasses import dataclass

from generators.config import setting


@dataclass(frozen=True, kw_only=True)
class PeerSettings:
    """Settings that every peer has.

    The defaults were tuned on digits, on a split that is not reported, for minutes of one core at 8 to 64 pixels. While
    the noise multiplier is above 1 it falls with the batch size, so that more and smaller steps cost no privacy.
    """

    batch_size: int = setting(64, "expected subjects a step", low=1, changes_privacy=True)
    n_steps: int = setting(300, "private steps", low=1, high=1_000_000, changes_privacy=True)
    max_grad_norm: float = setting(1.0, "clipping norm of one image's gradient", low=1e-6, changes_privacy=True)
    learning_rate: float = setting(1e-2, "Adam's rate", low=1e-7, high=1)
    views: int = setting(6, "noise draws of one image in a step (noise multiplicity)", low=1, high=64)
    width: int = setting(8, "channels of the first layer, a multiple of 8", low=8, high=512)
    average: float = setting(0.98, "decay of the moving average of weights that is kept", low=0, high=1)
    microbatch: int = setting(64, "images computed at once: memory and speed", low=1)
    sampling_steps: int = setting(15, "steps of the sampler", low=1, high=1000)


@dataclass(frozen=True, kw_only=True)
class DpFetaSettings(PeerSettings):
    """Central images and the warm-up on them."""

    central_share: float = setting(0.5, "share of epsilon that central images may spend", low=0.001, high=0.9)
    n_central: int = setting(1, "central images a label", low=1, high=1000)
    central_rate: float = setting(1.0, "chance of a subject to enter one set of central images", low=0.001, high=1)
    warmup_steps: int = setting(200, "steps on the central images, which are free", low=0)


@dataclass(frozen=True, kw_only=True)
class DpGanSettings(PeerSettings):
    """A generator between private steps of the discriminator."""

    n_steps: int = setting(600, "private steps of the discriminator", low=1, high=1_000_000, changes_privacy=True)
    learning_rate: float = setting(2e-3, "Adam's rate", low=1e-7, high=1)
    width: int = setting(16, "channels of the first layer, a multiple of 8", low=8, high=512)
    discriminator_steps: int = setting(5, "discriminator steps between two steps of the generator", low=1, high=1000)
    n_latents: int = setting(32, "latent dimensions", low=1, high=1024)
