"""Few weights on top of a frozen network: low-rank adapters (Hu et al. 2022), or its attention alone (Liu et al. 2023).

Under DP-SGD the noise grows with the root of the number of trained weights, so a large public network is best left as
it is but for a few of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from generators.base import ConfigError
from generators.networks.denoising import Denoiser

ATTENTION, ALL, ATTENTION_WEIGHTS = "attention", "all", "attention-weights"
WAYS = (ATTENTION, ALL, ATTENTION_WEIGHTS)


class LowRank(nn.Module):
    """A frozen linear layer or convolution and a trained correction of that rank, which starts at zero."""

    def __init__(self, frozen: nn.Linear | nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.frozen = frozen
        self.down: nn.Linear | nn.Conv2d
        self.up: nn.Linear | nn.Conv2d
        if isinstance(frozen, nn.Linear):
            self.down = nn.Linear(frozen.in_features, rank, bias=False)
            self.up = nn.Linear(rank, frozen.out_features, bias=False)
        else:
            size, stride, padding = frozen.kernel_size, frozen.stride, frozen.padding
            self.down = nn.Conv2d(frozen.in_channels, rank, size, stride, padding, bias=False)  # type: ignore[arg-type]
            self.up = nn.Conv2d(rank, frozen.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        corrected: Tensor = self.frozen(inputs) + self.up(self.down(inputs))
        return corrected

    @torch.no_grad()
    def merged(self) -> nn.Linear | nn.Conv2d:
        """The one layer that does the same."""
        correction = self.up.weight.flatten(1) @ self.down.weight.flatten(1)
        self.frozen.weight += correction.reshape(self.frozen.weight.shape)
        return self.frozen


def adapt(network: Denoiser, way: str, rank: int) -> None:
    """Leave trainable what `way` says, and the layer of conditions, which is new; freeze the rest. Changes `network`.

    attention: low-rank adapters on attention's projections; all: on every linear layer and convolution;
    attention-weights: the weights of attention themselves. Raises ConfigError.
    """
    if way not in WAYS:
        raise ConfigError(f"is {way!r}", where="adapt", remedy=f"choose one of {', '.join(WAYS)}")
    attentions = [module for module in network.unet.modules() if isinstance(module, Attention)]
    if way != ALL and not attentions:
        raise ConfigError("has no attention to adapt", where="base", remedy=f"set adapt={ALL}")
    network.requires_grad_(False)
    conditions: nn.Module = network.unet.class_embedding
    if way == ATTENTION_WEIGHTS:
        for module in attentions:
            module.requires_grad_(True)
    else:
        for root in [network.unet] if way == ALL else attentions:
            for parent, name, child in list(_layers(root)):
                if child is not conditions:
                    setattr(parent, name, LowRank(child, rank))
    conditions.requires_grad_(True)


def merge(network: Denoiser) -> None:
    """Turn every adapter into the plain layer that does the same: the network is of its first shape again."""
    adapters = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, LowRank)
    ]
    for parent, name, child in adapters:
        setattr(parent, name, child.merged())


def _layers(root: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear | nn.Conv2d]]:
    for parent in root.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear | nn.Conv2d):
                yield parent, name, child
