"""Canaries: subjects whose gradient is known, put through the trainer's own private loop.

The network is one line of weights, one place for each canary, and a canary's loss is its image times the weights: its
gradient is its image, along its own place. Every private step then shows at each place the canary's clipped part, or
nothing where it was not drawn, with the step's noise on it. Some canaries are far beyond the clipping norm and some
have many images: a step that clips each subject as a whole gives all of them the same norm.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audits.stats import Doubles
from generators.base import Run, SpendRecorder, no_progress
from generators.data import ImageSet, Strings
from generators.gradients.subjects import Loss
from generators.networks.checkpoints import Arrays
from generators.privacy import PrivacyBudget, PrivacySpend, StepRecord
from generators.training import Companion, DpSgdPlan, PrivateSettings, train_network

LOUD = 1000.0
# Images of one canary, and the norm of its gradient before it is clipped, in clipping norms; canaries take turns.
KINDS = ((1, 1.0), (1, LOUD), (8, 1.0), (8, LOUD))


Note = Callable[[Tensor], None]


class Trainer(Protocol):
    """The private loop under audit; `generators.training.train_network` has this form."""

    def __call__(
        self,
        network: nn.Module,
        loss: Loss,
        run: Run,
        settings: PrivateSettings,
        *,
        images: Tensor,
        conditions: Tensor,
        plan: DpSgdPlan,
        companion: Companion | None = None,
    ) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Canaries:
    """gradients [N, places]: of each image, in clipping norms. owner [N]: the canary of each image, from 0."""

    gradients: NDArray[np.float32]
    owner: NDArray[np.intp]

    @property
    def n(self) -> int:
        return int(self.owner.max()) + 1

    @classmethod
    def at_own_places(cls, n: int, *, n_absent: int, kinds: Sequence[tuple[int, float]] = KINDS) -> Canaries:
        """Canary i at place i; `n_absent` further places belong to nobody."""
        turns = [kinds[i % len(kinds)] for i in range(n)]
        owner = np.repeat(np.arange(n), [n_images for n_images, _ in turns])
        gradients = np.zeros((len(owner), n + n_absent), dtype=np.float32)
        gradients[np.arange(len(owner)), owner] = np.array([norm for _, norm in turns])[owner]
        return cls(gradients=gradients, owner=owner)

    @classmethod
    def one_against_many(cls, n_others: int) -> Canaries:
        """Canary 0, loud, against a crowd of opposite gradients at the same place."""
        gradients = np.full((1 + n_others, 1), -1.0, dtype=np.float32)
        gradients[0] = LOUD
        return cls(gradients=gradients, owner=np.arange(1 + n_others))


@dataclass(frozen=True, kw_only=True)
class Observed:
    """seen [T, places]: what each step released, in clipping norms. drawn [T, canaries]: who took part."""

    seen: NDArray[np.float32]
    drawn: NDArray[np.bool_]

    def inside(self) -> Doubles:
        """Observations with a canary's part; canary i is at place i."""
        return np.asarray(self.seen[:, : self.drawn.shape[1]][self.drawn], dtype=np.float64)

    def outside(self) -> Doubles:
        """Observations without: places of canaries that were not drawn, and of nobody."""
        here = self.seen[:, : self.drawn.shape[1]][~self.drawn]
        return np.concatenate([here, self.seen[:, self.drawn.shape[1] :].ravel()]).astype(np.float64)


def observe(
    canaries: Canaries, plan: DpSgdPlan, settings: PrivateSettings, *, trainer: Trainer = train_network
) -> Observed:
    """Run the plan's steps on the canaries alone. The plan's expected batch size is only a unit, and set anew."""
    plan = replace(plan, expected_batch_size=plan.sample_rate * canaries.n)
    network, watch = _Line(canaries.gradients.shape[1]), _Watch(plan=plan, n=canaries.n)
    settings = replace(settings, n_steps=plan.n_steps, learning_rate=1e-7, average=0.0, checkpoint_every=plan.n_steps)
    watch.network = network

    def loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
        _Witness.apply(conditions, watch.note)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        found: Tensor = network(images)
        return found

    with tempfile.TemporaryDirectory() as folder:
        trainer(
            network,
            loss,
            canary_run(canaries.owner.astype(str), watch, Path(folder)),
            settings,
            images=torch.from_numpy(canaries.gradients * np.float32(plan.max_grad_norm)),
            conditions=torch.from_numpy(canaries.owner.astype(np.float32))[:, None],
            plan=plan,
            companion=watch,
        )
    return Observed(seen=np.stack(watch.seen), drawn=np.stack(watch.drawn))


def canary_run(owner: Strings, recorder: SpendRecorder, out: Path) -> Run:
    """A run whose subjects are canaries, the owners [N] of images without content; its own budget is read by nobody."""
    n = len(np.unique(owner))
    return Run(
        images=ImageSet(images=np.zeros((len(owner), 1, 1), np.uint8), subject=owner),
        budget=PrivacyBudget(target_epsilon=1.0, target_delta=1e-5 / n, public_n_subjects=n, accountant="rdp"),
        config={},
        out=out,
        seed=0,
        public=None,
        device="cpu",
        recorder=recorder,
        progress=no_progress,
        resume=False,
    )


class _Line(nn.Module):
    def __init__(self, n_places: int) -> None:
        super().__init__()
        self.line = nn.Linear(n_places, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.line(images)[..., 0]
        return found


@dataclass(kw_only=True)
class _Watch:
    """Recorder and companion of the loop: told before each step's noise and after each step."""

    plan: DpSgdPlan
    n: int
    network: _Line | None = None
    drawn_now: list[Tensor] = field(default_factory=list)
    seen: list[NDArray[np.float32]] = field(default_factory=list)
    drawn: list[NDArray[np.bool_]] = field(default_factory=list)

    def reserve(self, planned: PrivacySpend) -> None:
        """Nothing: canaries are no people."""

    def step(self, record: StepRecord) -> None:  # noqa: ARG002 - the protocol's
        self.drawn_now.clear()  # what was tried on noise before the first step

    def settle(self, spent: PrivacySpend) -> None:
        """Nothing."""

    def note(self, numbers: Tensor) -> None:
        """The canaries that a loss was asked about, by number."""
        self.drawn_now.append(numbers)

    def after_step(self, step: int) -> None:  # noqa: ARG002 - the protocol's
        gradient = None if self.network is None else self.network.line.weight.grad
        unit = self.plan.expected_batch_size / self.plan.max_grad_norm
        places = 0 if self.network is None else self.network.line.in_features
        self.seen.append(np.zeros(places, np.float32) if gradient is None else gradient[0].numpy() * np.float32(unit))
        drawn = np.zeros(self.n, dtype=bool)
        if self.drawn_now:
            drawn[torch.cat(self.drawn_now).long().numpy()] = True
        self.drawn.append(drawn)

    def tensors(self) -> Arrays:
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Nothing is kept."""


class _Witness(torch.autograd.Function):
    """Notes the canaries that a loss is asked about, also from within `torch.func.vmap`, which would copy a list."""

    @staticmethod
    def forward(numbers: Tensor, note: Note) -> Tensor:
        note(numbers.detach().flatten().clone())
        return numbers.clone()

    @staticmethod
    def setup_context(ctx: object, inputs: object, output: object) -> None:
        """Nothing is needed backwards."""

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004 - torch's form
        return gradient, None

    @staticmethod
    def vmap(
        info: object,  # noqa: ARG004 - torch's form
        in_dims: tuple[int | None, ...],
        numbers: Tensor,
        note: Note,
    ) -> tuple[Tensor, int]:
        return _Witness.apply(numbers, note), in_dims[0] or 0  # type: ignore[no-untyped-call]  # as above
