"""The one private training loop: DP-SGD with one gradient a subject.

Each step draws subjects by Poisson sampling, takes the mean gradient over a subject's images, clips it as a whole to
`max_grad_norm`, sums, adds Gaussian noise of standard deviation noise_multiplier * max_grad_norm, and divides by the
expected batch size, a public number. The step's cost is on disk before its noise is drawn. Conventions and accounting
are Opacus's (Yousefpour et al. 2021); the mechanism is Abadi et al. 2016 with the subject as its unit.

Draws and noise come from the operating system and are not repeatable. What the guarantee rests on is `DpSgdPlan`;
`microbatch`, the device and the checkpoints change speed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from generators.accounting import noise_multiplier_for, spend_of
from generators.base import Progress, ResumeError, SpendRecorder
from generators.folder import load_tensors, save_tensors
from generators.privacy import GaussianEvent, PrivacyBudget, StepRecord
from generators.secure_random import secure_normal, secure_poisson_draw
from generators.steps_log import read_log

CHECKPOINT = "checkpoint.safetensors"

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""loss(network, images [K, C, H, W], conditions [K, c]) -> losses [K], one for each image on its own."""


@dataclass(frozen=True, kw_only=True)
class DpSgdPlan:
    """Everything that the guarantee rests on.

    sample_rate: chance of a subject to enter a step. expected_batch_size: sample_rate * public_n_subjects.
    """

    noise_multiplier: float
    max_grad_norm: float
    sample_rate: float
    n_steps: int
    expected_batch_size: float

    @property
    def events(self) -> tuple[GaussianEvent, ...]:
        event = GaussianEvent(noise_multiplier=self.noise_multiplier, sample_rate=self.sample_rate, steps=self.n_steps)
        return (event,)


@dataclass(frozen=True, kw_only=True)
class SubjectData:
    """images [N, C, H, W] and conditions [N, c] on one device; owner [N] numbers the subjects from 0."""

    images: Tensor
    conditions: Tensor
    owner: NDArray[np.intp]
    most_images: int

    @property
    def n_subjects(self) -> int:
        return int(self.owner.max()) + 1

    def gather(self, subjects: NDArray[np.intp]) -> tuple[Tensor, Tensor, Tensor]:
        """Images [S, K, ...], conditions [S, K, c] and weights [S, K] that sum to 1 over each subject's images.

        A subject with more than K = `most_images` images enters with K of them, drawn anew each time.
        """
        rows = np.zeros((len(subjects), self.most_images), dtype=np.intp)
        weights = np.zeros(rows.shape, dtype=np.float32)
        for place, subject in enumerate(subjects):
            own = np.flatnonzero(self.owner == subject)
            if len(own) > self.most_images:
                own = np.random.default_rng().choice(own, self.most_images, replace=False)
            rows[place, : len(own)] = own
            weights[place, : len(own)] = 1 / len(own)
        index = torch.from_numpy(rows).to(self.images.device)
        return self.images[index], self.conditions[index], torch.from_numpy(weights).to(self.images.device)


def make_plan(budget: PrivacyBudget, *, batch_size: int, n_steps: int, max_grad_norm: float) -> DpSgdPlan:
    """The plan whose noise spends the budget; a batch is at most the public number. Raises BudgetError."""
    batch_size = min(batch_size, budget.public_n_subjects)
    rate = batch_size / budget.public_n_subjects
    noise = noise_multiplier_for(
        target_epsilon=budget.target_epsilon,
        delta=budget.target_delta,
        sample_rate=rate,
        steps=n_steps,
        accountant=budget.accountant,
    )
    return DpSgdPlan(
        noise_multiplier=noise,
        max_grad_norm=max_grad_norm,
        sample_rate=rate,
        n_steps=n_steps,
        expected_batch_size=float(batch_size),
    )


def clipped_sum(
    network: nn.Module, loss: Loss, data: SubjectData, subjects: NDArray[np.intp], *, bound: float, microbatch: int
) -> dict[str, Tensor]:
    """The sum over subjects of gradients of their mean loss, each clipped to norm `bound`; zeros for no subject.

    A gradient that is not finite contributes nothing: it has no norm to clip.
    """
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    total = {name: torch.zeros_like(value) for name, value in parameters.items()}

    def subject_loss(values: dict[str, Tensor], images: Tensor, conditions: Tensor, weights: Tensor) -> Tensor:
        def call(*inputs: Tensor) -> Tensor:
            return functional_call(network, values, inputs)  # type: ignore[no-any-return]  # torch leaves it open

        return (loss(_Call(call), images, conditions) * weights).sum()

    gradients = vmap(grad(subject_loss), in_dims=(None, 0, 0, 0), randomness="different")
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


def add_noise(total: Mapping[str, Tensor], plan: DpSgdPlan) -> dict[str, Tensor]:
    """The private mean gradient: the sum, with fresh secure noise, over the expected batch size."""
    std = plan.noise_multiplier * plan.max_grad_norm
    return {
        name: (value + torch.from_numpy(secure_normal(tuple(value.shape), std)).to(value)) / plan.expected_batch_size
        for name, value in total.items()
    }


def train_privately(
    network: nn.Module,
    loss: Loss,
    data: SubjectData,
    *,
    plan: DpSgdPlan,
    learning_rate: float,
    microbatch: int,
    checkpoint_every: int,
    out: Path,
    recorder: SpendRecorder,
    progress: Progress,
) -> None:
    """Run the plan's steps that `steps.log` does not hold yet, from the last checkpoint. Changes `network`.

    Steps that a killed run recorded after its last checkpoint are lost but stay charged, so the plan's number of
    steps, and with it the budget, is never exceeded.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    logged = read_log(out)
    n_charged = 0 if logged is None else logged.n_steps
    if (out / CHECKPOINT).exists():
        _restore(out / CHECKPOINT, network, optimizer)
    for step in range(n_charged, plan.n_steps):
        recorder.step(
            StepRecord(step=step, noise_multiplier=plan.noise_multiplier, sample_rate=plan.sample_rate, phase="train")
        )
        drawn = np.flatnonzero(secure_poisson_draw(data.n_subjects, plan.sample_rate))
        total = clipped_sum(network, loss, data, drawn, bound=plan.max_grad_norm, microbatch=microbatch)
        noisy = add_noise(total, plan)
        for name, parameter in network.named_parameters():
            parameter.grad = noisy[name].to(parameter)
        optimizer.step()
        if (step + 1) % checkpoint_every == 0 or step + 1 == plan.n_steps:
            _store(out / CHECKPOINT, network, optimizer)
        progress(step + 1, plan.n_steps, "training")


def reserve_plan(
    plan: DpSgdPlan, budget: PrivacyBudget, *, privacy_unit: str, out: Path, recorder: SpendRecorder
) -> None:
    """Reserve the whole plan once; a resumed run must hold the same one. Raises ResumeError."""
    logged = read_log(out)
    if logged is None:
        recorder.reserve(
            spend_of(plan.events, delta=budget.target_delta, accountant=budget.accountant, privacy_unit=privacy_unit)
        )
    elif logged.planned.events != plan.events:
        raise ResumeError(
            "was planned for another budget", where=str(out), remedy="resume with the budget it began with"
        )


def _store(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    tensors = network_tensors(network)
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": _array(value) for name, value in state.items()}
    save_tensors(path, tensors)


def _restore(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    tensors = {name: torch.from_numpy(value) for name, value in load_tensors(path).items()}
    load_network(network, tensors)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value.reshape(()) if key == "step" else value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def network_tensors(network: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Weights as arrays named `network.*`."""
    return {f"network.{name}": _array(value) for name, value in network.state_dict().items()}


def load_network(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Weights from the tensors named `network.*`. Raises ResumeError where they do not fit."""
    own = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise ResumeError("weights do not fit the network", where="checkpoint", remedy="train again") from error


def _array(value: Tensor) -> NDArray[np.generic]:
    return np.asarray(value.detach().cpu().numpy())
