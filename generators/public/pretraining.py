"""Steps on images that cost nothing: public sets, phantoms, and what a private release already let out."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from generators.base import Progress
from generators.gradients.subjects import Loss
from generators.networks.tensors import seeded

BATCH = 32


def pretrain(  # noqa: PLR0913 (every one a named choice of the caller)
    network: nn.Module,
    loss: Loss,
    images: Tensor,
    conditions: Tensor,
    *,
    n_steps: int,
    learning_rate: float,
    seed: int,
    progress: Progress,
    batch: int = BATCH,
    average: float = 0.0,
    message: str = "pretraining on public images",
) -> None:
    """Adam steps on public images [N, C, S, S] and conditions [N, c]; repeats by `seed`. Changes `network`.

    average: decay of an exponential moving average that the weights are replaced by at the end; 0 for none.
    The caller vouches that nothing here was computed from private images without noise.
    """
    if not n_steps:
        return
    device = next(network.parameters()).device
    kept = copy.deepcopy(network) if average else None
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    with seeded(seed):
        for step in range(n_steps):
            for group in optimizer.param_groups:  # to a twentieth of the rate at the end
                group["lr"] = learning_rate * max(0.05, 1 - step / n_steps)
            drawn = torch.randint(len(images), (min(batch, len(images)),))
            optimizer.zero_grad()
            value = loss(network, images[drawn].to(device), conditions[drawn].to(device)).mean()
            value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            if kept is not None:
                move_average(kept, network, decay=min(average, (1 + step) / (10 + step)))
            progress(step + 1, n_steps, message)
    if kept is not None:
        network.load_state_dict(kept.state_dict())


@torch.no_grad()
def move_average(kept: nn.Module, network: nn.Module, *, decay: float) -> None:
    """kept := decay kept + (1 - decay) network, weight by weight; buffers are copied."""
    for mean, weight in zip(kept.parameters(), network.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
    for copied, buffer in zip(kept.buffers(), network.buffers(), strict=True):
        copied.copy_(buffer)
