"""Diffusion in pixels: a conditional UNet of `diffusers`, the loss that trains it, and the solvers that draw from it.

Ho et al. 2020 with the velocity target of Salimans and Ho 2022 and the cosine schedule of Nichol and Dhariwal 2021;
drawn by DPM-Solver++ (Lu et al. 2022) or DDIM (Song et al. 2021) under classifier-free guidance (Ho and Salimans
2022). Images are [0, 1] outside of this file and [-1, 1] inside. GroupNorm only: every image is processed on its own,
as gradients per subject need.

Import this from a family's file alone: `diffusers` takes seconds to load.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from generators.base import ConfigError, Progress
from generators.gradients.subjects import Loss

SOLVERS = ("dpm-solver", "ddim")
PREDICTIONS = ("v_prediction", "epsilon", "sample")
LARGEST_GRID = 16
GROUPS = 8
DRAW_CHUNK = 100


class Denoiser(nn.Module):
    """Noisy images [n, C, S, S], timesteps [n] and conditions [n, c] to the UNet's prediction [n, C, S, S].

    Conditions pass one linear layer to the time embedding. It starts at zero, so that a word which no training image
    bears, and an unconditional UNet that is taken over, behave as without a condition.
    patch: the side of the squares of pixels that the UNet sees as channels of one point.
    """

    def __init__(self, unet: UNet2DModel, *, n_conditions: int, patch: int = 1) -> None:
        super().__init__()
        width = unet.time_embedding.linear_2.out_features
        embedding = nn.Linear(n_conditions, width, bias=False)
        nn.init.zeros_(embedding.weight)
        unet.class_embedding = embedding  # type: ignore[assignment]  # it calls whatever module stands here
        for module in unet.modules():
            if isinstance(module, Attention):
                # The fused attention has no batching rule under vmap; this one is plain matrix products.
                module.set_processor(AttnProcessor())
        self.unet, self.patch, self.n_conditions = unet, patch, n_conditions

    def forward(self, noisy: Tensor, timesteps: Tensor, conditions: Tensor) -> Tensor:
        seen = pixel_unshuffle(noisy, self.patch) if self.patch > 1 else noisy
        predicted: Tensor = self.unet(seen, timesteps, class_labels=conditions, return_dict=False)[0]
        return pixel_shuffle(predicted, self.patch) if self.patch > 1 else predicted


def patch_side(size: int) -> int:
    """The smallest patch (1, 2, 4, 8) that leaves a grid of at most 16 points a side, else the largest.

    The grid can be halved twice. A patch saves its square in time. Raises ConfigError for a side not divisible by 4.
    """
    if size < 8 or size % 4:
        raise ConfigError(f"a side of {size} pixels", where="size", remedy="use a multiple of 4 from 8 on, as 28 or 64")
    fitting = [patch for patch in (1, 2, 4, 8) if size % (4 * patch) == 0]
    return next((patch for patch in fitting if size // patch <= LARGEST_GRID), fitting[-1])


def new_unet(*, size: int, channels: int, width: int) -> UNet2DModel:
    """A UNet of three resolutions, `width`, twice and four times that wide, with attention at the lowest."""
    patch = patch_side(size)
    unet: UNet2DModel = UNet2DModel(
        sample_size=size // patch,
        in_channels=channels * patch**2,
        out_channels=channels * patch**2,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        block_out_channels=(width, 2 * width, 4 * width),
        layers_per_block=1,
        attention_head_dim=2 * GROUPS,
        norm_num_groups=GROUPS,
    )
    return unet


@dataclass(frozen=True, kw_only=True)
class NoiseProcess:
    """How noise is added in training and taken away in drawing. config: that of a scheduler of `diffusers`."""

    config: Mapping[str, Any]

    @classmethod
    def of_pixels(cls, prediction: str) -> NoiseProcess:
        """The cosine schedule of 1000 timesteps. Raises ConfigError for a target that is none of PREDICTIONS."""
        if prediction not in PREDICTIONS:
            raise ConfigError(
                f"is {prediction!r}", where="prediction", remedy=f"choose one of {', '.join(PREDICTIONS)}"
            )
        return cls(
            config={
                "num_train_timesteps": 1000,
                "beta_schedule": "squaredcos_cap_v2",
                "prediction_type": prediction,
            }
        )

    def training(self) -> DDPMScheduler:
        scheduler: DDPMScheduler = DDPMScheduler.from_config(dict(self.config))
        return scheduler

    def solver(self, name: str, n_steps: int) -> DDIMScheduler | DPMSolverMultistepScheduler:
        """A deterministic solver of that many steps. Raises ConfigError for a name that is none of SOLVERS."""
        check_solver(name)
        scheduler: DDIMScheduler | DPMSolverMultistepScheduler
        if name == "ddim":
            scheduler = DDIMScheduler.from_config(dict(self.config), timestep_spacing="trailing")
        else:
            # Beyond a log-SNR of -5.1 the cosine schedule is pure noise and its steps are numerically unstable.
            scheduler = DPMSolverMultistepScheduler.from_config(
                dict(self.config),
                algorithm_type="dpmsolver++",
                lambda_min_clipped=-5.1,
                thresholding=True,
                sample_max_value=1.0,
                timestep_spacing="linspace",
            )
        with warnings.catch_warnings():
            # diffusers hands a tensor to numpy.array, which NumPy 2 warns of and which is harmless.
            warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy keyword")
            scheduler.set_timesteps(n_steps)
        return scheduler


def check_solver(name: str) -> None:
    """Raise ConfigError for a name that is none of SOLVERS."""
    if name not in SOLVERS:
        raise ConfigError(f"is {name!r}", where="solver", remedy=f"choose one of {', '.join(SOLVERS)}")


def denoising_loss(process: NoiseProcess, *, condition_dropout: float, n_labels: int, strength: float = 1.0) -> Loss:
    """The squared error of each image [n] at a noise level of its own: a view of a subject is a noise level.

    strength: the part of the timesteps that are trained, those of least noise: see `Drawing`.

    condition_dropout: the chance that an image's condition is hidden, and that its groups alone are, so that the
    network can be guided and can be asked for a label without groups. The first n_labels conditions are the label's.
    """
    scheduler = process.training()
    n_timesteps = max(1, int(process.config["num_train_timesteps"] * strength))
    prediction = process.config.get("prediction_type")

    def loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
        n, device = len(images), images.device
        shown = (torch.rand(n, 2, device=device) >= condition_dropout).to(conditions)
        label, groups = conditions[:, :n_labels], conditions[:, n_labels:]
        hidden = torch.cat([label * shown[:, :1], groups * shown[:, :1] * shown[:, 1:]], dim=1)
        clean, noise = images * 2 - 1, torch.randn_like(images)
        timesteps: Any = torch.randint(0, n_timesteps, (n,), device=device)  # diffusers asks for an IntTensor
        noisy = scheduler.add_noise(clean, noise, timesteps)
        target = clean if prediction == "sample" else noise
        if prediction == "v_prediction":
            target = scheduler.get_velocity(clean, noise, timesteps)
        error: Tensor = (network(noisy, timesteps, hidden) - target).square().flatten(1).mean(1)
        return error

    return loss


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How images are drawn. guidance: 1 follows the condition as trained, above 1 more strongly.

    strength: the part of the way to pure noise that a start is noised, and that is then solved back in that part of
    n_steps; 1 begins with pure noise.
    """

    process: NoiseProcess
    solver: str
    n_steps: int
    guidance: float
    strength: float = 1.0

    @property
    def n_skipped(self) -> int:
        """Steps of the solver that a start saves: at least one is left."""
        return min(self.n_steps - 1, round(self.n_steps * (1 - self.strength)))


@torch.no_grad()
def draw_images(
    network: Denoiser,
    conditions: Tensor,
    drawing: Drawing,
    *,
    shape: tuple[int, int, int],
    seed: int,
    progress: Progress,
    start: Tensor | None = None,
) -> Tensor:
    """Images [n, C, S, S] in [0, 1] for conditions [n, c], on the CPU; deterministic in `seed`. shape: C, S, S.

    start [n, C, S, S] in [0, 1]: what is noised and solved back, where drawing does not begin with pure noise.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    network.eval()
    parts: list[Tensor] = []
    for rows in torch.split(torch.arange(len(conditions)), DRAW_CHUNK):
        noise = torch.randn(len(rows), *shape, generator=generator).to(device)
        begun = None if start is None else start[rows].to(device)
        parts.append(_solve(network, noise, conditions[rows].to(device), drawing, begun))
        progress(sum(map(len, parts)), len(conditions), "drawing images")
    return torch.cat(parts)


def _solve(
    network: Denoiser, noise: Tensor, conditions: Tensor, drawing: Drawing, start: Tensor | None = None
) -> Tensor:
    solver, skipped, images = drawing.process.solver(drawing.solver, drawing.n_steps), 0, noise
    if start is not None and drawing.n_skipped:
        skipped = drawing.n_skipped
        begun: Any = solver.timesteps[skipped].expand(len(start))  # diffusers asks for an IntTensor
        images = drawing.process.training().add_noise(start * 2 - 1, noise, begun)
        if isinstance(solver, DPMSolverMultistepScheduler):
            solver.set_begin_index(skipped)
    for timestep in solver.timesteps[skipped:]:
        everywhere = timestep.to(images.device).expand(len(images))
        predicted = _guided(network, images, everywhere, conditions, drawing.guidance)
        images = solver.step(predicted, timestep, images, return_dict=False)[0]
    return ((images + 1) / 2).clamp(0, 1).cpu()


def _guided(network: Denoiser, images: Tensor, timesteps: Tensor, conditions: Tensor, guidance: float) -> Tensor:
    predicted: Tensor = network(images, timesteps, conditions)
    if guidance == 1:
        return predicted
    free: Tensor = network(images, timesteps, torch.zeros_like(conditions))
    return free + guidance * (predicted - free)
