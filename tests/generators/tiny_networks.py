"""A public network for `lora` that takes a second to make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generators.networks.tensors import seeded

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel


def tiny_unet() -> UNet2DModel:
    """Grey, 16 pixels a side, with attention; untrained, the same at every call."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    with seeded(0):
        return UNet2DModel(
            sample_size=16,
            in_channels=1,
            out_channels=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
        )
