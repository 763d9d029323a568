from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from generators.accounting import spend_of
from generators.base import no_progress
from generators.gradients.subjects import SubjectData, clipped_sum
from generators.privacy import PrivacyBudget
from generators.steps_log import StepsLog, read_log
from generators.training import (
    DpSgdPlan,
    PrivateSettings,
    add_noise,
    make_plan,
    train_privately,
)

BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=100, accountant="rdp")


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 4)

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(images.flatten(1) + conditions[:, :1])))


def loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
    return (network(images, conditions) - images.flatten(1)).square().sum(1)


def data(owner: list[int], dtype: torch.dtype = torch.float32, scale: float = 1.0) -> SubjectData:
    generator = torch.Generator().manual_seed(len(owner))
    images = torch.randn(len(owner), 1, 2, 2, generator=generator, dtype=dtype) * scale
    return SubjectData(
        images=images, conditions=torch.zeros(len(owner), 1, dtype=dtype), owner=np.array(owner), views=4
    )


def norm(gradient: dict[str, Tensor]) -> float:
    return float(torch.sqrt(sum(value.square().sum() for value in gradient.values())))


def test_gradients_are_those_of_a_loop_over_subjects() -> None:
    torch.manual_seed(0)
    network, people = Tiny().double(), replace(data([0, 0, 1, 2, 2, 2], torch.float64), views=6)
    together = clipped_sum(network, loss, people, np.arange(3), bound=0.5, microbatch=2)
    expected = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for subject in range(3):
        own = people.owner == subject
        network.zero_grad()
        loss(network, people.images[own], people.conditions[own]).mean().backward()
        gradient = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
        factor = min(1.0, 0.5 / norm(gradient))
        expected = {name: value + factor * gradient[name] for name, value in expected.items()}
    for name, value in together.items():
        assert torch.allclose(value, expected[name], atol=1e-5), name


@pytest.mark.parametrize("n_images", [1, 2, 4, 8, 20])
def test_a_person_of_any_number_of_images_is_clipped_to_the_bound(n_images: int) -> None:
    people = data([0] * n_images, scale=1e3)
    total = clipped_sum(Tiny(), loss, people, np.array([0]), bound=1.0, microbatch=16)
    assert norm(total) == pytest.approx(1.0, rel=1e-4)


def test_a_gradient_that_is_not_finite_contributes_nothing() -> None:
    people = data([0, 1])
    people.images[0] = float("nan")
    network = Tiny()
    whole = clipped_sum(network, loss, people, np.array([0, 1]), bound=1.0, microbatch=2)
    alone = clipped_sum(network, loss, people, np.array([1]), bound=1.0, microbatch=2)
    assert all(torch.allclose(whole[name], alone[name]) for name in whole)


def test_microbatches_change_nothing() -> None:
    people, network = data([0, 1, 2, 3, 4]), Tiny()
    sums = [clipped_sum(network, loss, people, np.arange(5), bound=1.0, microbatch=size) for size in (1, 2, 5)]
    assert all(torch.allclose(sums[0][name], other[name], atol=1e-5) for other in sums[1:] for name in other)


def test_an_empty_draw_is_noise_of_the_planned_size() -> None:
    plan = DpSgdPlan(noise_multiplier=2.0, max_grad_norm=3.0, sample_rate=0.1, n_steps=1, expected_batch_size=10)
    network = nn.Linear(100, 100)
    total = clipped_sum(network, loss, data([0]), np.array([], dtype=np.intp), bound=3.0, microbatch=4)
    assert norm(total) == 0
    assert float(add_noise(total, plan)["weight"].std()) == pytest.approx(0.6, rel=0.05)


def test_steps_are_recorded_before_noise_and_never_beyond_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(BUDGET, batch_size=10, n_steps=6, max_grad_norm=1.0)
    recorder = StepsLog(tmp_path)
    recorder.reserve(spend_of(plan.events, delta=1e-5, accountant="rdp", privacy_unit="subject"))
    n_drawn = 0
    import generators.training as module

    real = module.add_noise

    def watched(total: dict[str, Tensor], of: DpSgdPlan) -> dict[str, Tensor]:
        nonlocal n_drawn
        n_drawn += 1
        logged = read_log(tmp_path)
        assert logged is not None
        assert logged.n_steps == n_drawn + n_lost
        if n_drawn == 3 and not n_lost:
            raise KeyboardInterrupt
        return real(total, of)

    monkeypatch.setattr(module, "add_noise", watched)
    n_lost = 0

    def go() -> None:
        train_privately(
            Tiny(),
            loss,
            data([0, 1, 1]),
            plan=plan,
            settings=PrivateSettings(learning_rate=0.01, microbatch=4, checkpoint_every=2),
            out=tmp_path,
            recorder=recorder,
            progress=no_progress,
        )

    with pytest.raises(KeyboardInterrupt):
        go()
    n_drawn, n_lost = 0, 3
    go()
    logged = read_log(tmp_path)
    assert logged is not None
    assert logged.n_steps == plan.n_steps
    assert logged.events == plan.events


def test_the_rate_comes_from_the_public_number() -> None:
    plan = make_plan(BUDGET, batch_size=10, n_steps=5, max_grad_norm=1.0)
    wider = make_plan(replace(BUDGET, public_n_subjects=200), batch_size=10, n_steps=5, max_grad_norm=1.0)
    assert (plan.sample_rate, plan.expected_batch_size) == (0.1, 10)
    assert wider.sample_rate == 0.05
    assert wider.noise_multiplier < plan.noise_multiplier
