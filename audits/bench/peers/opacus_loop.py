"""DP-SGD on stock Opacus: GradSampleModule's hooks, DPOptimizer's clipping and noise, Poisson draws by subject."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from audits.bench.peers.base import PeerData, PeerJob
from audits.bench.peers.settings import PeerSettings
from generators.privacy import GaussianEvent
from generators.public.pretraining import move_average
from generators.secure_random import secure_poisson_draw
from generators.training import DpSgdPlan, make_plan

Losses = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""losses(network, images [B, ...], labels [B]) -> [M * B], M passes over the batch one after another."""


class OpacusLoop:
    """A network that private steps train, and its moving average."""

    def __init__(
        self, network: nn.Module, job: PeerJob, settings: PeerSettings, *, already: Sequence[GaussianEvent] = ()
    ) -> None:
        self.data, self.settings, self.kept = PeerData.of(job), settings, copy.deepcopy(network)
        self.plan: DpSgdPlan = make_plan(
            job.budget,
            batch_size=settings.batch_size,
            n_steps=settings.n_steps,
            max_grad_norm=settings.max_grad_norm,
            already=already,
        )
        self.hooked = GradSampleModule(network, loss_reduction="sum")
        device = job.torch_device()
        noise = torch.Generator(device=device).manual_seed(int.from_bytes(os.urandom(7), "big"))
        self.optimizer = DPOptimizer(
            torch.optim.Adam(network.parameters(), lr=settings.learning_rate),
            noise_multiplier=self.plan.noise_multiplier,
            max_grad_norm=self.plan.max_grad_norm,
            expected_batch_size=self.plan.expected_batch_size,
            generator=noise,
            secure_mode=True,
        )
        self.n_done = 0

    def step(self, losses: Losses) -> None:
        """One Poisson draw in microbatches, one noisy step."""
        drawn = np.flatnonzero(secure_poisson_draw(len(self.data.rows), self.plan.sample_rate))
        parts = [
            drawn[start : start + self.settings.microbatch] for start in range(0, len(drawn), self.settings.microbatch)
        ]
        self.optimizer.zero_grad(set_to_none=True)
        for number, part in enumerate(parts):
            self._gradients(losses, part)
            self.optimizer.signal_skip_step(do_skip=number + 1 < len(parts))
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        if not parts:
            for parameter in self.hooked.parameters():
                parameter.grad_sample = torch.zeros(0, *parameter.shape, device=parameter.device)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        move_average(
            self.kept,
            self.hooked._module,  # noqa: SLF001 - Opacus has no public name for what it wraps
            decay=min(self.settings.average, (1 + self.n_done) / (10 + self.n_done)),
        )
        self.n_done += 1

    def _gradients(self, losses: Losses, subjects: np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
        images, labels = self.data.one_each(subjects)
        with warnings.catch_warnings():
            # Opacus registers hooks on inputs that need no gradient and says so each time.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            losses(self.hooked, images, labels).sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for parameter in self.hooked.parameters():
            # M passes over one image are one private contribution: their gradients are added before clipping.
            each = parameter.grad_sample
            parameter.grad_sample = each.reshape(-1, len(subjects), *parameter.shape).sum(0)
