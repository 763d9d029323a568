"""Weights and optimizer states as tensors in safetensors, never as pickles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generators.base import ResumeError
from generators.folder import load_tensors

Arrays = dict[str, NDArray[np.generic]]


def network_tensors(network: nn.Module, prefix: str = "network") -> Arrays:
    """Weights as arrays named `<prefix>.*`."""
    return {f"{prefix}.{name}": _array(value) for name, value in network.state_dict().items()}


def load_network(network: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "network") -> None:
    """Weights from the tensors named `<prefix>.*`. Raises ResumeError where they do not fit."""
    start = f"{prefix}."
    own = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise ResumeError("weights do not fit the network", where="checkpoint", remedy="train again") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str = "optimizer") -> Arrays:
    """The states of an optimizer's parameters as arrays named `<prefix>.<number>.<key>`."""
    return {
        f"{prefix}.{number}.{name}": _array(value)
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = "optimizer") -> None:
    """The states that `optimizer_tensors` wrote."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"{prefix}."):
            number, key = name.removeprefix(f"{prefix}.").split(".")
            state.setdefault(int(number), {})[key] = value.reshape(()) if key == "step" else value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file as torch tensors. Raises ResumeError."""
    return {name: torch.from_numpy(value) for name, value in load_tensors(path).items()}


def _array(value: Tensor) -> NDArray[np.generic]:
    return np.asarray(value.detach().cpu().numpy())
