"""One training on several devices of one machine: each holds the network and the data and sums its share of subjects.

Noise is added once, to the sum of all shares, so devices change speed and never privacy.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from generators.gradients.subjects import SubjectData

Replica = tuple[nn.Module, SubjectData]


def further_devices(first: torch.device) -> list[torch.device]:
    """Every other CUDA device where the first one is CUDA; none beside a CPU."""
    if first.type != "cuda":
        return []
    own = torch.cuda.current_device() if first.index is None else first.index
    return [torch.device("cuda", number) for number in range(torch.cuda.device_count()) if number != own]


def replicate(network: nn.Module, data: SubjectData, devices: Sequence[torch.device]) -> list[Replica]:
    """A copy of network and data on each of the devices, for `clipped_sum`."""
    return [(copy.deepcopy(network).to(device), data.to(device)) for device in devices]


@torch.no_grad()
def refresh(replicas: Sequence[Replica], network: nn.Module) -> None:
    """The weights and buffers of every copy made those of `network`, as after a step."""
    state = network.state_dict()
    for copied, _ in replicas:
        copied.load_state_dict(state)
