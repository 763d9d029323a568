"""Gradients of private images: one a subject, clipped as a whole, summed.

A subject enters with K views: its images drawn anew, an image repeated where a subject has fewer, so that a loss which
draws noise or augments sees it K times (De et al. 2022's augmentation multiplicity; Dockhorn et al. 2023's noise
multiplicity) at the price of one private contribution. Views are computed in slices whose gradients add up before the
clip, so memory does not grow with K.

Two ways to the same gradients: `torch.func`'s vmap over subjects, and `gradients.layers`, which is faster on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from generators.base import ConfigError
from generators.gradients.layers import Loss, UnknownUseError, keeps_subjects_apart, layer_gradients

__all__ = ["Loss", "Speed", "SubjectData", "clip_and_add", "clipped_sum", "fastest_path"]

PRECISIONS = ("auto", "float32", "bfloat16")
PATHS = ("auto", "vmap", "layers")
# A norm is rounded like every number: this much less than the bound keeps the clipped gradient below it all the same.
ROUNDING = 1e-6
# Gradients of subjects that are held at once, in numbers: 256 MiB of float32.
HELD = 1 << 26
# Numbers in the images of one pass where view_slice is automatic.
SHOWN = 64 * 64 * 64
# Networks whose plain backward pass vmap could not take.
_NEEDS_GRAPH: WeakSet[nn.Module] = WeakSet()


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What changes time and memory and never the sum: `microbatch` subjects and `view_slice` views of each at once.

    view_slice 0: as many as keep what a pass looks at near to that of 64 images of 64 pixels a side.
    precision: of forward and backward passes; auto is bfloat16 on CUDA and the network's own elsewhere. Norms, clipping
    and sums are float32 at least. path: vmap or layers. Raises ConfigError.
    """

    microbatch: int = 32
    view_slice: int = 0
    precision: str = "auto"
    path: str = "vmap"

    def __post_init__(self) -> None:
        for name, allowed in (("precision", PRECISIONS), ("path", PATHS)):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"is {getattr(self, name)!r}", where=name, remedy=f"choose one of {', '.join(allowed)}"
                )

    def is_low(self, device: torch.device) -> bool:
        """Whether passes on `device` are in bfloat16."""
        return self.precision == "bfloat16" or (self.precision == "auto" and device.type == "cuda")

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context of forward passes on `device`."""
        if not self.is_low(device):
            return nullcontext()
        # vmap's weights are new tensors at every call: a cache of them would hold them all.
        return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


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

    @cached_property
    def _rows(self) -> list[NDArray[np.intp]]:
        """The rows of each subject."""
        order = np.argsort(self.owner, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.owner))[:-1])

    def to(self, device: torch.device) -> SubjectData:
        return replace(self, images=self.images.to(device), conditions=self.conditions.to(device))

    def draw_views(self, subjects: NDArray[np.intp]) -> Tensor:
        """Rows [S, K]: K of each subject's images drawn anew, without repetition as far as they last.

        Which ones is no secret that the guarantee rests on: it holds for every choice.
        """
        rng = np.random.default_rng()
        rows = [self._views_of(subject, rng) for subject in subjects]
        return torch.from_numpy(np.stack(rows) if rows else np.empty((0, self.views), dtype=np.intp))

    def _views_of(self, subject: int, rng: np.random.Generator) -> NDArray[np.intp]:
        own = self._rows[subject]
        rounds = -(-self.views // len(own))
        return np.concatenate([rng.permutation(own) for _ in range(rounds)])[: self.views]


def clipped_sum(
    network: nn.Module,
    loss: Loss,
    data: SubjectData,
    subjects: NDArray[np.intp],
    *,
    bound: float,
    microbatch: int | None = None,
    speed: Speed | None = None,
    replicas: Sequence[tuple[nn.Module, SubjectData]] = (),
) -> dict[str, Tensor]:
    """The sum over subjects of gradients of their mean loss, each clipped to norm `bound`; zeros for no subject.

    A gradient that is not finite contributes nothing: it has no norm to clip. microbatch: short for speed's.
    replicas: copies of network and data on further devices (`replicas.replicate`), which take their share of subjects;
    the sum is on the network's own device.
    """
    speed = speed or Speed()
    workers = ((network, data), *replicas)
    totals = [_zeros(worker) for worker, _ in workers]
    size = _at_once(network, microbatch or speed.microbatch)
    rows = data.draw_views(subjects)
    # Devices take turns, and none is waited for before all have their work.
    for turn, start in enumerate(range(0, len(rows), size)):
        number = turn % len(workers)
        each = _gradients(*workers[number], loss, rows[start : start + size], speed)
        clip_and_add(totals[number], each, bound)
    for other in totals[1:]:
        for name, value in totals[0].items():
            value.add_(other[name].to(value.device))
    return totals[0]


def fastest_path(network: nn.Module, loss: Loss, data: SubjectData, speed: Speed) -> Speed:
    """`speed` with auto decided: layers on a CPU where it is proven right on noise, vmap elsewhere.

    On CUDA vmap's grouped kernels have not been measured against the other way: it keeps the plainer one.
    """
    if speed.path != "auto":
        return speed
    apart = data.images.device.type == "cpu" and keeps_subjects_apart(network, loss, data.images, data.conditions)
    return replace(speed, path="layers" if apart else "vmap")


def clip_and_add(total: dict[str, Tensor], each: dict[str, Tensor], bound: float) -> None:
    """Add gradients [S, ...], each subject's scaled to norm `bound` at most, to `total`."""
    flat = {name: value.reshape(len(value), -1) for name, value in each.items()}
    norms = [torch.linalg.vector_norm(value, dim=1) for value in flat.values()]
    norm = torch.stack(norms).double().norm(dim=0)
    finite = norm.isfinite()
    factor = torch.where(finite, (bound * (1 - ROUNDING) / norm.clamp_min(1e-12)).clamp_max(1.0), 0.0).to(norms[0])
    # On CUDA to ask is to wait.
    all_finite = norm.device.type == "cpu" and bool(finite.all())
    for name, value in flat.items():
        kept = value if all_finite else value.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        total[name].view(-1).addmv_(kept.T, factor.to(kept))


def _gradients(network: nn.Module, data: SubjectData, loss: Loss, rows: Tensor, speed: Speed) -> dict[str, Tensor]:
    """[S, *parameter]: gradients of the mean loss of each subject's views `rows` [S, K], slice by slice."""
    rows = rows.to(data.images.device)
    n_views = rows.shape[1]
    way = layer_gradients if speed.path == "layers" else vmap_gradients

    def share(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
        with speed.autocast(images.device):
            losses = loss(network, images, conditions)
        return (losses if losses.dtype == torch.float64 else losses.float()) / n_views

    total: dict[str, Tensor] = {}
    view_slice = speed.view_slice or max(1, SHOWN // (len(rows) * data.images[0].numel()))
    for part in torch.split(rows, view_slice, dim=1):
        images, conditions = data.images[part], data.conditions[part]
        try:
            found = way(network, share, images, conditions)
        except UnknownUseError:  # a loss that uses weights in one way today and in another tomorrow
            found = vmap_gradients(network, share, images, conditions)
        total = {name: total[name] + value for name, value in found.items()} if total else found
    return {name: value if value.dtype == torch.float64 else value.float() for name, value in total.items()}


def vmap_gradients(network: nn.Module, loss: Loss, images: Tensor, conditions: Tensor) -> dict[str, Tensor]:
    """[S, *parameter]: gradients of each subject's sum of losses; images [S, v, ...] and conditions [S, v, c].

    `torch.func.grad` builds a graph of the backward pass too, for derivatives that nobody takes. That is done here only
    where some kernel of the plain backward pass refuses what vmap hands it.
    """
    if network not in _NEEDS_GRAPH:
        try:
            return _by_vmap(network, loss, images, conditions, graph=False)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            _NEEDS_GRAPH.add(network)
    return _by_vmap(network, loss, images, conditions, graph=True)


def _by_vmap(network: nn.Module, loss: Loss, images: Tensor, conditions: Tensor, *, graph: bool) -> dict[str, Tensor]:
    # vmap knows no batched form of a CPU's fused attention, and would warn and loop.
    attention = sdpa_kernel(SDPBackend.MATH) if images.device.type == "cpu" else nullcontext()
    parameters = {name: value.detach() for name, value in network.named_parameters() if value.requires_grad}

    def of_one(images: Tensor, conditions: Tensor) -> dict[str, Tensor]:
        def total(values: dict[str, Tensor]) -> Tensor:
            def call(*inputs: Tensor) -> Tensor:
                return functional_call(network, values, inputs)  # type: ignore[no-any-return]  # torch leaves it open

            return loss(_Call(call), images, conditions).sum()

        value, pull, *_ = vjp(total, parameters)
        with torch.set_grad_enabled(graph):
            found: dict[str, Tensor] = pull(torch.ones_like(value))[0]
        return found

    with attention:
        return vmap(of_one, randomness="different")(images, conditions)


def _zeros(network: nn.Module) -> dict[str, Tensor]:
    """float32 at least, whatever the weights are kept in."""
    kinds = {torch.float64: torch.float64}
    return {
        name: torch.zeros(value.shape, dtype=kinds.get(value.dtype, torch.float32), device=value.device)
        for name, value in network.named_parameters()
        if value.requires_grad
    }


def _at_once(network: nn.Module, microbatch: int) -> int:
    """How many subjects' gradients are held at once: fewer than the microbatch for a large network."""
    n_weights = sum(value.numel() for value in network.parameters() if value.requires_grad)
    return max(1, min(microbatch, HELD // max(1, n_weights)))


class _Call(nn.Module):
    """A function in a module's place, so that a loss reads the same in and out of `functional_call`."""

    def __init__(self, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.forward = call
