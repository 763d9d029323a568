"""One real training run with canaries among the people, each there by a coin; the auditor guesses the coins afterwards.

A `vae` is trained from scratch on the given images by the trainer's own loop, at noise, rate and number of steps of the
card. Dirac canaries (Nasr et al. 2023) have a weight of their own and are guessed from every step's noisy gradient,
which is more than any receiver sees. Blank-patch canaries are images of nothing but a patch, and are guessed from how
far the finished network's loss on them fell, which a receiver of the weights can do.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audits.claims.canaries import LOUD, Trainer, canary_run
from audits.claims.one_run_bounds import best_guesses, ceilings, gaussian_bound, gaussian_epsilon_bound, steinke_bound
from audits.claims.record import Part
from audits.claims.releases import NoLog
from audits.stats import Doubles
from generators.accounting import gaussian_log_delta
from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.networks.checkpoints import Arrays
from generators.networks.tensors import image_tensor, one_hot, seeded
from generators.training import DpSgdPlan, PrivateSettings, train_network
from generators.vae import VaeNetwork, vae_loss

DIRAC = "dirac"
PATCH = 6
N_LOSSES = 8


@dataclass(frozen=True, kw_only=True)
class Guessed:
    """m canaries, r guessed (as many present as absent), v rightly; bounds and ceilings of both methods, epsilon."""

    m: int
    r: int
    v: int
    steinke: float
    gaussian: float
    gaussian_mu: float
    steinke_ceiling: float
    gaussian_ceiling: float

    @classmethod
    def of(cls, scores: Doubles, there: NDArray[np.bool_], *, r: int, delta: float, alpha: float) -> Guessed:
        """The r/2 highest scores are guessed present, the r/2 lowest absent."""
        order, half, m = np.argsort(-scores, kind="stable"), r // 2, len(scores)
        v = int(there[order[:half]].sum() + (~there[order[m - half :]]).sum())
        most = ceilings(m, 2 * half, delta=delta, alpha=alpha)
        return cls(
            m=m,
            r=2 * half,
            v=v,
            steinke=steinke_bound(m, 2 * half, v, delta=delta, alpha=alpha),
            gaussian=gaussian_epsilon_bound(m, 2 * half, v, delta=delta, alpha=alpha),
            gaussian_mu=gaussian_bound(m, 2 * half, v, alpha=alpha),
            steinke_ceiling=most[0],
            gaussian_ceiling=most[1],
        )


def mu_of(epsilon: float, delta: float) -> float:
    """The Gaussian mechanism that spends epsilon at delta, by bisection."""
    low, high = 1e-3, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_log_delta(middle, epsilon) < np.log(delta) else (low, middle)
    return low


def audit_one_run(
    images: ImageSet,
    part: Part,
    settings: PrivateSettings,
    *,
    epsilon: float,
    delta: float,
    n_canaries: int,
    alpha: float,
    seed: int,
    trainer: Trainer = train_network,
) -> dict[str, Guessed]:
    """Train once with n_canaries of each kind beside the people of `images`, and guess. epsilon, delta: claimed."""
    rng = np.random.default_rng(seed)
    there = {kind: rng.random(n_canaries) < 0.5 for kind in (DIRAC, "patch")}
    people = _People.of(images, n_canaries, there, rng)
    n_guesses = best_guesses(n_canaries, mu=mu_of(epsilon, delta), delta=delta, alpha=alpha)
    scores = _train(people, part, settings, seed=seed, trainer=trainer)
    return {kind: Guessed.of(scores[kind], there[kind], r=n_guesses, delta=delta, alpha=alpha) for kind in there}


@dataclass(frozen=True, kw_only=True)
class _People:
    """images [N, C, S, S], conditions [N, c + 1] (the last: number of a Dirac canary, from 1) and subject of each.

    patches: images and conditions of all patch canaries, those that stayed away among them.
    """

    images: Tensor
    conditions: Tensor
    subjects: NDArray[np.str_]
    patches: tuple[Tensor, Tensor]
    n_dirac: int

    @classmethod
    def of(cls, images: ImageSet, m: int, there: dict[str, NDArray[np.bool_]], rng: np.random.Generator) -> _People:
        vocabulary = Vocabulary.of(images)
        real, words = image_tensor(images), one_hot(vocabulary, vocabulary.numbers(images))
        words = torch.cat([words, torch.zeros(len(words), 1)], dim=1)
        blank, first = torch.zeros(m, *real.shape[1:]), words[:1].repeat(m, 1)
        dirac = first.clone()
        dirac[:, -1] = torch.arange(1, m + 1)
        patches = blank.clone()
        for image, (y, x) in zip(patches, rng.integers(0, real.shape[-1] - PATCH, (m, 2)), strict=True):
            image[..., y : y + PATCH, x : x + PATCH] = torch.from_numpy(rng.random((PATCH, PATCH), dtype=np.float32))
        kept = [torch.from_numpy(there[kind]) for kind in (DIRAC, "patch")]
        names = [[f"{kind} {i}" for i in np.flatnonzero(there[kind])] for kind in (DIRAC, "patch")]
        return cls(
            images=torch.cat([real, blank[kept[0]], patches[kept[1]]]),
            conditions=torch.cat([words, dirac[kept[0]], first[kept[1]]]),
            subjects=np.array([*(f"person {name}" for name in images.subjects()), *names[0], *names[1]]),
            patches=(patches, first),
            n_dirac=m,
        )


class _WithDirac(nn.Module):
    """A network with one more weight for each Dirac canary, which `forward(numbers, DIRAC)` gives."""

    def __init__(self, inner: nn.Module, n_dirac: int) -> None:
        super().__init__()
        self.inner, self.dirac = inner, nn.Linear(n_dirac, 1, bias=False)

    def forward(self, *inputs: Tensor | str) -> Tensor:
        if inputs[-1] is DIRAC and isinstance(inputs[0], Tensor):
            places = torch.arange(1, self.dirac.in_features + 1)
            weights: Tensor = self.dirac((inputs[0][:, None] == places).float())
            return weights[:, 0]
        found: Tensor = self.inner(*inputs)
        return found


def _loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
    number = conditions[:, -1]
    return torch.where(number > 0, LOUD * network(number, DIRAC), vae_loss(network, images, conditions[:, :-1]))


def _train(
    people: _People, part: Part, settings: PrivateSettings, *, seed: int, trainer: Trainer
) -> dict[str, Doubles]:
    """Scores of all canaries: higher where it was rather there."""
    plan = DpSgdPlan(
        noise_multiplier=part.noise_multiplier,
        max_grad_norm=settings.max_grad_norm,
        sample_rate=part.sample_rate,
        n_steps=part.steps,
        expected_batch_size=part.sample_rate * len(np.unique(people.subjects)),
    )
    network = _network(people, seed=seed)
    before, watch = copy.deepcopy(network), _Gradients(network=network, plan=plan)
    settings = replace(settings, n_steps=plan.n_steps, checkpoint_every=plan.n_steps)
    with tempfile.TemporaryDirectory() as folder:
        trainer(
            network,
            _loss,
            canary_run(people.subjects, NoLog(), Path(folder)),
            settings,
            images=people.images,
            conditions=people.conditions,
            plan=plan,
            companion=watch,
        )
    fallen = _patch_losses(before, people) - _patch_losses(network, people)
    return {DIRAC: watch.scores, "patch": fallen}


def _network(people: _People, *, seed: int) -> _WithDirac:
    with seeded(seed):
        inner = VaeNetwork(
            size=people.images.shape[-1],
            channels=people.images.shape[1],
            n_conditions=people.conditions.shape[1] - 1,
            n_latents=16,
            width=8,
        )
        return _WithDirac(inner, people.n_dirac)


def _patch_losses(network: _WithDirac, people: _People) -> Doubles:
    """The mean loss of each patch canary over draws of latents that are the same for every network."""
    images, conditions = people.patches
    with seeded(0), torch.no_grad():
        losses = [vae_loss(network, images, conditions[:, :-1]) for _ in range(N_LOSSES)]
    return np.asarray(torch.stack(losses).mean(0).double().numpy())


class _Gradients:
    """A companion that adds up, for each Dirac canary, each step's log likelihood of "there" over "not there"."""

    def __init__(self, *, network: _WithDirac, plan: DpSgdPlan) -> None:
        self.network, self.plan = network, plan
        self.scores: Doubles = np.zeros(network.dirac.in_features)

    def after_step(self, step: int) -> None:  # noqa: ARG002 - the protocol's
        gradient = self.network.dirac.weight.grad
        if gradient is None:
            return
        seen = gradient[0].double().numpy() * self.plan.expected_batch_size / self.plan.max_grad_norm
        rate, variance = self.plan.sample_rate, self.plan.noise_multiplier**2
        self.scores += np.logaddexp(
            np.log1p(-rate) if rate < 1 else -np.inf, np.log(rate) + (2 * seen - 1) / (2 * variance)
        )

    def tensors(self) -> Arrays:
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Nothing is kept."""
