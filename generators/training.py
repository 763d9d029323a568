"""The one private training loop: DP-SGD with one gradient a subject.

Each step draws subjects by Poisson sampling, takes the gradient of each one's mean loss (`gradients.subjects`), clips
it as a whole to `max_grad_norm`, sums, adds Gaussian noise of standard deviation noise_multiplier * max_grad_norm, and
divides by the expected batch size, a public number. The step's cost is on disk before its noise is drawn. Conventions
and accounting are Opacus's (Yousefpour et al. 2021); the mechanism is Abadi et al. 2016 with the subject as its unit.

Draws and noise come from the operating system and are not repeatable. What the guarantee rests on is `DpSgdPlan`;
microbatch, slices of views, precision, devices and checkpoints change speed alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from generators.accounting import merge_events, noise_multiplier_for, spend_of
from generators.base import Progress, ResumeError, Run, SpendRecorder
from generators.config import setting
from generators.folder import save_tensors
from generators.gradients.replicas import Replica, further_devices, refresh, replicate
from generators.gradients.subjects import Loss, Speed, SubjectData, clipped_sum, fastest_path
from generators.networks.checkpoints import (
    Arrays,
    load_network,
    load_optimizer,
    network_tensors,
    optimizer_tensors,
    read_tensors,
)
from generators.privacy import GaussianEvent, PrivacyBudget, StepRecord
from generators.public.pretraining import move_average
from generators.secure_random import secure_normal, secure_poisson_draw
from generators.steps_log import read_log

CHECKPOINT = "checkpoint.safetensors"
PHASE = "train"


@dataclass(frozen=True, kw_only=True)
class PrivateSettings:
    """What every generator trained by this loop can be told. The first three enter the guarantee."""

    batch_size: int = setting(48, "expected subjects a step", low=1, changes_privacy=True)
    n_steps: int = setting(120, "private steps", low=1, high=1_000_000, changes_privacy=True)
    max_grad_norm: float = setting(1.0, "clipping norm of a subject's gradient", low=1e-6, changes_privacy=True)
    learning_rate: float = setting(1e-3, "Adam's rate for private steps", low=1e-7, high=1)
    views: int = setting(2, "images of one subject, or views of them, that one step looks at", low=1, high=64)
    average: float = setting(0.0, "decay of the moving average of weights that is kept; 0 for none", low=0, high=1)
    microbatch: int = setting(32, "subjects computed at once: memory and speed", low=1)
    view_slice: int = setting(0, "views of one subject computed at once: memory and speed; 0 for automatic", low=0)
    precision: str = setting("auto", "of the network's passes: auto (bfloat16 on CUDA), float32 or bfloat16")
    path: str = setting("auto", "how gradients per subject are taken: auto, vmap or layers; all give the same")
    checkpoint_every: int = setting(20, "steps between checkpoints", low=1)
    labels: str = setting("", "the public label vocabulary, comma-separated; empty: the cohort's own words")

    def plan(self, budget: PrivacyBudget, already: Sequence[GaussianEvent] = ()) -> DpSgdPlan:
        """`make_plan` with these settings."""
        return make_plan(
            budget,
            batch_size=self.batch_size,
            n_steps=self.n_steps,
            max_grad_norm=self.max_grad_norm,
            already=already,
        )

    @property
    def speed(self) -> Speed:
        """Raises ConfigError."""
        return Speed(microbatch=self.microbatch, view_slice=self.view_slice, precision=self.precision, path=self.path)


@dataclass(frozen=True, kw_only=True)
class DpSgdPlan:
    """Everything that the guarantee rests on.

    sample_rate: chance of a subject to enter a step. expected_batch_size: sample_rate * public_n_subjects.
    already: what the run spends before these steps, on a warm-up.
    """

    noise_multiplier: float
    max_grad_norm: float
    sample_rate: float
    n_steps: int
    expected_batch_size: float
    already: tuple[GaussianEvent, ...] = ()

    @property
    def events(self) -> tuple[GaussianEvent, ...]:
        event = GaussianEvent(noise_multiplier=self.noise_multiplier, sample_rate=self.sample_rate, steps=self.n_steps)
        return (*self.already, event)


class Companion(Protocol):
    """What is trained beside the private network from its weights alone, at no privacy cost: a GAN's generator."""

    def after_step(self, step: int) -> None:
        """Called after each private step; must look at no private image."""

    def tensors(self) -> Arrays:
        """Its state, under names that begin with `companion.`."""

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `tensors`."""


def make_plan(
    budget: PrivacyBudget,
    *,
    batch_size: int,
    n_steps: int,
    max_grad_norm: float,
    already: Sequence[GaussianEvent] = (),
) -> DpSgdPlan:
    """The plan whose noise spends what `already` leaves of the budget; a batch is at most the public number.

    A batch of the public number means sample rate 1: full batches and plain Gaussian composition.
    Without privacy nothing is clipped. Raises BudgetError.
    """
    batch_size = min(batch_size, budget.public_n_subjects)
    rate = batch_size / budget.public_n_subjects
    noise = noise_multiplier_for(
        target_epsilon=budget.target_epsilon,
        delta=budget.target_delta,
        sample_rate=rate,
        steps=n_steps,
        accountant=budget.accountant,
        already=already,
    )
    return DpSgdPlan(
        noise_multiplier=noise,
        max_grad_norm=max_grad_norm if budget.is_private else float("inf"),
        sample_rate=rate,
        n_steps=n_steps,
        expected_batch_size=float(batch_size),
        already=tuple(already),
    )


def reserve_plan(plan: DpSgdPlan, run: Run) -> None:
    """Reserve the whole plan once; a resumed run must hold the same one. Raises ResumeError."""
    logged = read_log(run.out)
    if logged is None:
        budget = run.budget
        planned = spend_of(
            plan.events,
            delta=budget.target_delta,
            accountant=budget.accountant,
            privacy_unit=run.images.privacy_unit,
        )
        run.recorder.reserve(planned)
    elif logged.planned.events != merge_events(plan.events):
        raise ResumeError(
            "was planned for another budget", where=str(run.out), remedy="resume with the budget it began with"
        )


def train_network(
    network: nn.Module,
    loss: Loss,
    run: Run,
    settings: PrivateSettings,
    *,
    images: Tensor,
    conditions: Tensor,
    plan: DpSgdPlan,
    companion: Companion | None = None,
) -> None:
    """`train_privately` with a run's own data and settings, reserving the plan first.

    images [N, ...] and conditions [N, c] are those of `run.images`, row by row. Changes `network`. A network on CUDA
    is trained on all CUDA devices. Raises ConfigError before anything is reserved.
    """
    settings.speed  # noqa: B018 (refuses words that it does not know)
    device = next(network.parameters()).device
    data = SubjectData(
        images=images.to(device),
        conditions=conditions.to(device),
        owner=np.unique(run.images.subjects(), return_inverse=True)[1],
        views=settings.views,
    )
    reserve_plan(plan, run)
    train_privately(
        network,
        loss,
        data,
        plan=plan,
        settings=settings,
        out=run.out,
        recorder=run.recorder,
        progress=run.progress,
        companion=companion,
        devices=further_devices(device),
    )


def train_privately(
    network: nn.Module,
    loss: Loss,
    data: SubjectData,
    *,
    plan: DpSgdPlan,
    settings: PrivateSettings,
    out: Path,
    recorder: SpendRecorder,
    progress: Progress,
    companion: Companion | None = None,
    devices: Sequence[torch.device] = (),
) -> None:
    """Run the plan's steps that `steps.log` does not hold yet, from the last checkpoint. Changes `network`.

    devices: further ones, beside the network's own, that take their share of each step's subjects.
    Steps that a killed run recorded after its last checkpoint are lost but stay charged, so the plan's number of
    steps, and with it the budget, is never exceeded.
    """
    state = _State(network, settings, companion)
    logged = read_log(out)
    n_charged = 0 if logged is None else logged.steps_of(PHASE)
    if (out / CHECKPOINT).exists():
        state.restore(out / CHECKPOINT)
    speed = fastest_path(network, loss, data, settings.speed)
    replicas = replicate(network, data, devices)
    for step in range(n_charged, plan.n_steps):
        recorder.step(
            StepRecord(step=step, noise_multiplier=plan.noise_multiplier, sample_rate=plan.sample_rate, phase=PHASE)
        )
        refresh(replicas, network)
        private_step(network, loss, data, plan=plan, speed=speed, replicas=replicas)
        state.advance(step)
        if (step + 1) % settings.checkpoint_every == 0 or step + 1 == plan.n_steps:
            save_tensors(out / CHECKPOINT, state.tensors())
        progress(step + 1, plan.n_steps, "training")
    state.finish()


def private_step(
    network: nn.Module,
    loss: Loss,
    data: SubjectData,
    *,
    plan: DpSgdPlan,
    speed: Speed,
    replicas: Sequence[Replica] = (),
) -> None:
    """One Poisson draw, its clipped and noised gradient left in `network`'s `.grad`. The caller has charged it."""
    drawn = np.flatnonzero(secure_poisson_draw(data.n_subjects, plan.sample_rate))
    total = clipped_sum(network, loss, data, drawn, bound=plan.max_grad_norm, speed=speed, replicas=replicas)
    noisy = add_noise(total, plan)
    for name, parameter in network.named_parameters():
        parameter.grad = noisy[name].to(parameter) if name in noisy else None


def add_noise(total: Mapping[str, Tensor], plan: DpSgdPlan) -> dict[str, Tensor]:
    """The private mean gradient: the sum, with fresh secure noise, over the expected batch size."""
    std = plan.noise_multiplier * plan.max_grad_norm if plan.noise_multiplier else 0.0
    sizes = [value.numel() for value in total.values()]
    noise = torch.from_numpy(secure_normal((sum(sizes),), std, threads=torch.get_num_threads()))
    return {
        name: (value + part.reshape(value.shape).to(value)) / plan.expected_batch_size
        for (name, value), part in zip(total.items(), torch.split(noise, sizes), strict=True)
    }


class _State:
    """What one step changes and a checkpoint keeps: weights, optimizer, moving average, companion."""

    def __init__(self, network: nn.Module, settings: PrivateSettings, companion: Companion | None) -> None:
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.network, self.companion, self.decay = network, companion, settings.average
        self.optimizer = torch.optim.Adam(trained, lr=settings.learning_rate)
        self.average = copy.deepcopy(network) if settings.average else None

    def advance(self, step: int) -> None:
        self.optimizer.step()
        if self.average is not None:
            move_average(self.average, self.network, decay=min(self.decay, (1 + step) / (10 + step)))
        if self.companion is not None:
            self.companion.after_step(step)

    def finish(self) -> None:
        """The weights that the run was for: the average where one is kept."""
        if self.average is not None:
            self.network.load_state_dict(self.average.state_dict())

    def tensors(self) -> Arrays:
        found = network_tensors(self.network) | optimizer_tensors(self.optimizer)
        if self.average is not None:
            found |= network_tensors(self.average, "average")
        return found if self.companion is None else found | self.companion.tensors()

    def restore(self, path: Path) -> None:
        tensors = read_tensors(path)
        load_network(self.network, tensors)
        load_optimizer(self.optimizer, tensors)
        if self.average is not None:
            load_network(self.average, tensors, "average")
        if self.companion is not None:
            self.companion.load(tensors)
