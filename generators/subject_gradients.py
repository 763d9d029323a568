"""Gradients of private images: one a subject, clipped as a whole, summed.

`torch.func`'s vmap(grad) over subjects, each with an inner batch of K views: its images drawn anew, an image repeated
where a subject has fewer, so that a loss which draws noise or augments sees it K times (De et al. 2022's augmentation
multiplicity; Dockhorn et al. 2023's noise multiplicity) at the price of one private contribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""loss(network, images [K, C, H, W], conditions [K, c]) -> losses [K], one for each image on its own."""


@dataclass(frozen=True, kw_only=True)
class SubjectData:
    """images [N, ...] and conditions [N, c] on one device; owner [N] numbers the subjects from 0.

    views: K, how many images of a subject one step looks at.
    """

    images: Tensor
    conditions: Tensor
    owner: NDArray[np.intp]
    views: int

    @property
    def n_subjects(self) -> int:
        return int(self.owner.max()) + 1

    def gather(self, subjects: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """Images [S, K, ...] and conditions [S, K, c] of the subjects.

        K of a subject's images drawn anew, without repetition as far as they last. Which ones is no secret that the
        guarantee rests on: it holds for every choice.
        """
        rng = np.random.default_rng()
        rows = np.stack([self._views_of(subject, rng) for subject in subjects])
        index = torch.from_numpy(rows).to(self.images.device)
        return self.images[index], self.conditions[index]

    def _views_of(self, subject: int, rng: np.random.Generator) -> NDArray[np.intp]:
        own = np.flatnonzero(self.owner == subject)
        rounds = -(-self.views // len(own))
        return np.concatenate([rng.permutation(own) for _ in range(rounds)])[: self.views]


def clipped_sum(
    network: nn.Module, loss: Loss, data: SubjectData, subjects: NDArray[np.intp], *, bound: float, microbatch: int
) -> dict[str, Tensor]:
    """The sum over subjects of gradients of their mean loss, each clipped to norm `bound`; zeros for no subject.

    A gradient that is not finite contributes nothing: it has no norm to clip. microbatch: subjects computed at once;
    it changes memory and speed, never the sum.
    """
    parameters = {name: value.detach() for name, value in network.named_parameters() if value.requires_grad}
    total = {name: torch.zeros_like(value) for name, value in parameters.items()}

    def subject_loss(values: dict[str, Tensor], images: Tensor, conditions: Tensor) -> Tensor:
        def call(*inputs: Tensor) -> Tensor:
            return functional_call(network, values, inputs)  # type: ignore[no-any-return]  # torch leaves it open

        return loss(_Call(call), images, conditions).mean()

    gradients = vmap(grad(subject_loss), in_dims=(None, 0, 0), randomness="different")
    for start in range(0, len(subjects), microbatch):
        each = gradients(parameters, *data.gather(subjects[start : start + microbatch]))
        squares = torch.stack([value.flatten(1).float().square().sum(1) for value in each.values()])
        norm = squares.sum(0).sqrt()
        factor = torch.where(norm.isfinite(), (bound / norm.clamp_min(1e-12)).clamp_max(1.0), 0.0)
        for name, value in each.items():
            finite = torch.nan_to_num(value.float(), nan=0.0, posinf=0.0, neginf=0.0)
            total[name] += torch.tensordot(factor, finite, dims=1)
    return total


class _Call(nn.Module):
    """A function in a module's place, so that a loss reads the same in and out of `functional_call`."""

    def __init__(self, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.forward = call
