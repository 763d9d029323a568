"""Trainers that do not do what they say, each as a private loop that can be put under audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generators import training
from generators.base import Run
from generators.gradients.subjects import Loss, SubjectData
from generators.training import DpSgdPlan, train_network

add_noise, clipped_sum, poisson_draw = training.add_noise, training.clipped_sum, training.secure_poisson_draw


def patched(name: str, make: Callable[[], object]) -> Callable[..., None]:
    """The trainer's own loop with one of its functions made anew for each run."""

    def trainer(*arguments: Any, **named: Any) -> None:
        with patch.object(training, name, make()):
            train_network(*arguments, **named)

    return trainer


def noise_times(factor: float) -> Callable[..., None]:
    def noise(total: dict[str, Tensor], plan: DpSgdPlan) -> dict[str, Tensor]:
        return add_noise(total, replace(plan, noise_multiplier=factor * plan.noise_multiplier))

    return patched("add_noise", lambda: noise)


def rate_times(factor: float) -> Callable[..., None]:
    return patched("secure_poisson_draw", lambda: lambda n, rate: poisson_draw(n, factor * rate))


def _summed_then_clipped(*arguments: Any, bound: float, **named: Any) -> dict[str, Tensor]:
    total = clipped_sum(*arguments, bound=float("inf"), **named)
    norm = torch.sqrt(sum((value.double().square().sum() for value in total.values()), torch.zeros(())))
    return {name: value * float(min(1.0, bound / max(float(norm), 1e-12))) for name, value in total.items()}


def _shuffled() -> Callable[[int, float], NDArray[np.bool_]]:
    rng = np.random.default_rng()
    waiting: list[int] = []

    def draw(n: int, rate: float) -> NDArray[np.bool_]:
        if len(waiting) < round(n * rate):
            waiting[:] = [*waiting, *rng.permutation(n).tolist()]
        chosen = np.zeros(n, dtype=bool)
        chosen[[waiting.pop(0) for _ in range(round(n * rate))]] = True
        return chosen

    return draw


def _clipped_by_image(
    network: nn.Module, loss: Loss, data: SubjectData, subjects: NDArray[np.intp], **named: Any
) -> dict[str, Tensor]:
    """Subjects are drawn, but each of their images is clipped on its own."""
    images = replace(data, owner=np.arange(len(data.owner)))
    return clipped_sum(network, loss, images, np.flatnonzero(np.isin(data.owner, subjects)), **named)


def image_level(network: Any, loss: Any, run: Run, settings: Any, **named: Any) -> None:
    """Each image is drawn and clipped as if it were a subject of its own."""
    train_network(network, loss, replace(run, images=replace(run.images, subject=None)), settings, **named)


def faults() -> Iterator[tuple[str, Callable[..., None]]]:
    """Every fault by name."""
    yield "noise off", noise_times(0.0)
    yield "noise x 0.8", noise_times(0.8)
    yield "the sum clipped", patched("clipped_sum", lambda: _summed_then_clipped)
    yield "rate x 1.5", rate_times(1.5)
    yield "shuffled", patched("secure_poisson_draw", _shuffled)
    yield "images drawn apart", image_level
    yield "images clipped apart", patched("clipped_sum", lambda: _clipped_by_image)


FAULTS = dict(faults())
