"""A base for `lora` from public images: an unconditional UNet, written as a local folder of `diffusers`.

    python -m generators base --public public.npz --size 64 --out base

Nothing private is looked at, so nothing is charged; the operator answers for the set being public. At more than 16
points a side the UNet sees squares of pixels as channels of one point (`denoising.patch_side`): its folder says so by
`sample_size` and `in_channels`, from which `diffusers_folder` reads the square's side.
"""

from __future__ import annotations

from pathlib import Path

import torch

from generators.base import ConfigError, DataError, Progress
from generators.data import ImageSet
from generators.networks.denoising import GROUPS, Denoiser, NoiseProcess, denoising_loss, new_unet, patch_side
from generators.networks.tensors import image_tensor, pick_device, seeded
from generators.public.pretraining import pretrain

LEARNING_RATE = 1e-3
AVERAGE = 0.99


def write_base(public: ImageSet, out: Path, *, n_steps: int, width: int, seed: int, progress: Progress) -> None:
    """Train on public images for n_steps of 32 images, then write `unet/` and `scheduler/` in `out`; repeats by seed.

    Raises DataError where `out` holds something, ConfigError for a side or a width that no UNet has.
    """
    if width < GROUPS or width % GROUPS:
        raise ConfigError(f"is {width}", where="width", remedy=f"use a multiple of {GROUPS}")
    if out.exists() and any(out.iterdir()):
        raise DataError("is not empty", where=str(out), remedy="name a new folder")
    images, process = image_tensor(public), NoiseProcess.of_pixels("sample")
    size = images.shape[-1]
    with seeded(seed):
        unet = new_unet(size=size, channels=public.channels, width=width)
    # One condition that no image bears: the layer stays at zero and is not written.
    network = Denoiser(unet, n_conditions=1, patch=patch_side(size)).to(pick_device("auto"))
    pretrain(
        network,
        denoising_loss(process, condition_dropout=0, n_labels=1),
        images,
        torch.zeros(len(images), 1),
        n_steps=n_steps,
        learning_rate=LEARNING_RATE,
        seed=seed,
        progress=progress,
        average=AVERAGE,
    )
    unet.class_embedding = None  # type: ignore[assignment]  # as in a UNet that was never conditional
    unet.save_pretrained(out / "unet")
    process.training().save_pretrained(out / "scheduler")
