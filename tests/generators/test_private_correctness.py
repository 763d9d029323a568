"""What the guarantee rests on, each test shown to fail on a loop that breaks it: see SABOTEURS at the end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from scipy.stats import binom, chi2
from torch import Tensor, nn

from generators import training
from generators.base import Run, no_progress
from generators.data import ImageSet
from generators.gradients.subjects import Speed, SubjectData, clipped_sum
from generators.networks.tensors import image_tensor
from generators.privacy import PrivacyBudget
from generators.steps_log import StepsLog, read_log, spent_from_log
from generators.training import DpSgdPlan, PrivateSettings, make_plan, private_step, train_network

Pairs = NDArray[np.float64]
# A right build fails a test that draws fresh noise once in a million runs.
ALARM = 1e-6
BOUND = 0.5
PATHS = pytest.mark.parametrize("path", ["vmap", "layers"])


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 8), nn.Linear(8, 16)

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        found: Tensor = self.second(torch.tanh(self.first(images.flatten(1) + conditions[:, :1])))
        return found


def loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
    return (network(images, conditions) - images.flatten(1)).square().sum(1)


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return Tiny()


def people(owner: list[int], views: int = 2, scale: float = 10.0) -> SubjectData:
    """Images of norm far above what the bound lets through."""
    images = torch.randn(len(owner), 1, 4, 4, generator=torch.Generator().manual_seed(1)) * scale
    return SubjectData(images=images, conditions=torch.zeros(len(owner), 2), owner=np.array(owner), views=views)


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in tensors.values()]).double()


def total_of(data: SubjectData, subjects: NDArray[np.intp], path: str = "vmap") -> Tensor:
    speed = Speed(path=path, microbatch=3)
    return flat(training.clipped_sum(tiny(), loss, data, subjects, bound=BOUND, speed=speed))


def step_gradient(data: SubjectData, plan: DpSgdPlan) -> Tensor:
    network = tiny()
    private_step(network, loss, data, plan=plan, speed=Speed())
    return flat({name: value.grad for name, value in network.named_parameters() if value.grad is not None})


def a_plan(*, noise: float = 2.0, rate: float = 0.25, expected: float = 5.0) -> DpSgdPlan:
    return DpSgdPlan(
        noise_multiplier=noise, max_grad_norm=BOUND, sample_rate=rate, n_steps=1, expected_batch_size=expected
    )


# The claims: each one is checked on the real loop, then shown to fail on a broken one.


def check_one_subject_moves_the_sum_by_the_bound(path: str = "vmap") -> None:
    """However many images they have, of however many labels, and whoever else is in the batch."""
    others = [1, 2, 2, 3]
    for n_images in (1, 2, 4, 8, 20):
        data = people([0] * n_images + others, views=4)
        data.conditions[: n_images // 2, 0] = 1.0  # two labels
        with_them, without = total_of(data, np.arange(4), path), total_of(data, np.arange(1, 4), path)
        assert float((with_them - without).norm()) <= BOUND * (1 + 1e-5)


def check_duplicates_leave_one_contribution() -> None:
    images = people([0], views=8)
    copies = replace(images, images=images.images.expand(6, -1, -1, -1), conditions=images.conditions.expand(6, -1))
    copies = replace(copies, owner=np.zeros(6, dtype=np.intp))
    alone, repeated = total_of(images, np.array([0])), total_of(copies, np.array([0]))
    assert float(repeated.norm()) <= BOUND
    assert torch.allclose(alone, repeated, atol=1e-6)


def check_noise_has_its_variance() -> None:
    plan = a_plan(rate=1e-9)
    steps = [step_gradient(people([0] * 4), plan) for _ in range(6)]
    noise = torch.cat(steps) * plan.expected_batch_size / (2.0 * BOUND)
    n = len(noise)
    assert chi2.ppf(ALARM / 2, n) < float(noise.square().sum()) < chi2.ppf(1 - ALARM / 2, n)


def draws_of(n_steps: int, n_subjects: int, rate: float) -> NDArray[np.bool_]:
    """[n_steps, n_subjects]: who entered which step of the real loop, whose gradients are left out."""
    drawn = np.zeros((n_steps, n_subjects), dtype=bool)
    data, network, plan = people(list(range(n_subjects))), nn.Linear(1, 1), a_plan(rate=rate)
    step, real = 0, training.clipped_sum

    def watched(
        network: nn.Module, loss: object, data: SubjectData, subjects: NDArray[np.intp], **rest: object
    ) -> dict[str, Tensor]:
        drawn[step, subjects] = True
        return {"weight": torch.zeros(1, 1)}

    training.clipped_sum = watched  # type: ignore[assignment]  # put back below
    try:
        for step in range(n_steps):  # noqa: B007 (watched reads it)
            private_step(network, loss, data, plan=plan, speed=Speed())
    finally:
        training.clipped_sum = real
    return drawn


def check_draws_have_their_rate() -> None:
    """Every subject alone, and all together: binomial, half of ALARM for each."""
    n_steps, n_subjects, rate = 400, 60, 0.2
    drawn = draws_of(n_steps, n_subjects, rate)
    counts = drawn.sum(axis=0)
    low, high = binom.ppf([ALARM / 4 / n_subjects, 1 - ALARM / 4 / n_subjects], n_steps, rate)
    assert low <= counts.min()
    assert counts.max() <= high
    low, high = binom.ppf([ALARM / 4, 1 - ALARM / 4], n_steps * n_subjects, rate)
    assert low <= counts.sum() <= high


def dispersion_limits(n_steps: int, n_subjects: int, rate: float) -> tuple[int, int]:
    """Between which the sum over steps of (batch size - its mean)^2 lies, but for once in 1 / ALARM runs.

    Exact for Poisson sampling where the mean is a whole number: the squares are whole numbers then, and the
    distribution of their sum is that of one step convolved with itself.
    """
    sizes, mean = np.arange(n_subjects + 1), round(n_subjects * rate)
    squares = (sizes - mean) ** 2
    one_step = np.zeros(1 << 18)
    np.add.at(one_step, squares, binom.pmf(sizes, n_subjects, rate))
    # Around the end of the array, 2.7 times what is expected, nothing is left that a float64 could hold.
    cumulated = np.fft.irfft(np.fft.rfft(one_step) ** n_steps, len(one_step)).cumsum()
    low, high = np.searchsorted(cumulated, [ALARM / 2, 1 - ALARM / 2])
    return int(low), int(high)


def check_batches_have_the_variance_of_independent_draws() -> None:
    """The variance of batch sizes is binomial to 8 %; one that is off by 15 % is missed once in a million runs."""
    n_steps, n_subjects, rate = 10_000, 60, 0.2
    sizes = draws_of(n_steps, n_subjects, rate).sum(axis=1)
    low, high = dispersion_limits(n_steps, n_subjects, rate)
    assert low <= int(np.sum((sizes - round(n_subjects * rate)) ** 2)) <= high


def check_the_mean_is_over_the_expected_batch() -> None:
    data = people(list(range(8)))
    plan = a_plan(noise=0.0, rate=1.0, expected=40.0)
    assert torch.allclose(step_gradient(data, plan) * 40.0, total_of(data, np.arange(8)), atol=1e-5)


CLAIMS: dict[str, Callable[[], None]] = {
    "bound": check_one_subject_moves_the_sum_by_the_bound,
    "duplicates": check_duplicates_leave_one_contribution,
    "noise": check_noise_has_its_variance,
    "rate": check_draws_have_their_rate,
    "batches": check_batches_have_the_variance_of_independent_draws,
    "mean": check_the_mean_is_over_the_expected_batch,
}


@pytest.mark.parametrize("claim", list(CLAIMS))
def test_the_loop_keeps(claim: str) -> None:
    CLAIMS[claim]()


def test_the_fast_way_keeps_the_bound() -> None:
    check_one_subject_moves_the_sum_by_the_bound("layers")


@PATHS
def test_one_image_a_subject_is_what_opacus_hooks_give(path: str) -> None:
    data, network = people(list(range(6)), views=1), tiny()
    ours = clipped_sum(network, loss, data, np.arange(6), bound=BOUND, speed=Speed(path=path))
    hooked = GradSampleModule(tiny())
    loss(hooked, data.images.clone().requires_grad_(), data.conditions).mean().backward()
    samples = {name: value.grad_sample for name, value in hooked.named_parameters()}
    norms = torch.stack([value.flatten(1).norm(dim=1) for value in samples.values()]).norm(dim=0)
    factor = (BOUND / (norms + 1e-6)).clamp(max=1.0)
    for name, value in ours.items():
        theirs = torch.einsum("i,i...", factor, samples[f"_module.{name}"])
        assert torch.allclose(value, theirs, rtol=1e-4, atol=1e-6), name


def test_noise_is_independent_between_steps() -> None:
    plan = a_plan(rate=1e-9)
    first, second = (step_gradient(people([0]), plan) for _ in range(2))
    n = len(first)
    correlation = float(first @ second / (first.norm() * second.norm()))
    assert abs(correlation) * np.sqrt(n) < 5.5


def run_in(folder: Path, images: ImageSet, *, seed: int = 3) -> Run:
    folder.mkdir()
    return Run(
        images=images,
        budget=PrivacyBudget(target_epsilon=4, public_n_subjects=50, accountant="rdp"),
        config={},
        out=folder,
        seed=seed,
        public=None,
        device="cpu",
        recorder=StepsLog(folder),
        progress=no_progress,
        resume=False,
    )


def cohort(images_each: int, n_subjects: int = 12, label: list[str] | None = None) -> ImageSet:
    n = images_each * n_subjects
    pixels = np.random.default_rng(0).integers(0, 255, (n, 4, 4), dtype=np.uint8)
    labels = np.array(["normal", "nodule"] * n)[:n] if label is None else np.array(label)
    return ImageSet(images=pixels, label=labels, subject=np.repeat(np.arange(n_subjects), images_each).astype(str))


def train(run: Run, *, views: int = 2) -> tuple[nn.Module, DpSgdPlan]:
    settings = PrivateSettings(batch_size=5, n_steps=6, views=views, learning_rate=0.01)
    plan = make_plan(run.budget, batch_size=settings.batch_size, n_steps=settings.n_steps, max_grad_norm=BOUND)
    torch.manual_seed(run.seed)
    network = Tiny()
    conditions = torch.from_numpy((run.images.label == "nodule").astype(np.float32))[:, None]
    train_network(network, loss, run, settings, images=image_tensor(run.images), conditions=conditions, plan=plan)
    return network, plan


def test_images_a_person_and_views_change_nothing_in_epsilon(tmp_path: Path) -> None:
    spends = set()
    for n_images in (2, 4, 8, 20):
        run = run_in(tmp_path / str(n_images), cohort(n_images))
        _, plan = train(run, views=n_images)
        spends.add((plan, spent_from_log(run.out)))
    assert len(spends) == 1
    ((plan, spend),) = spends
    assert spend.events == plan.events
    assert 3.9 < spend.spent_epsilon <= 4


@pytest.mark.parametrize(
    "n_rare", [pytest.param(0, id="an empty class"), pytest.param(1, id="a class of one in a hundred")]
)
def test_a_rare_or_empty_class_trains_at_the_same_price(n_rare: int, tmp_path: Path) -> None:
    labels = ["nodule"] * n_rare + ["normal"] * (100 - n_rare)
    run = run_in(tmp_path / "run", cohort(1, n_subjects=100, label=labels))
    network, plan = train(run)
    assert spent_from_log(run.out).events == plan.events
    assert all(bool(value.isfinite().all()) for value in network.parameters())


def test_under_one_seed_the_start_repeats_and_draws_and_noise_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts, draws, ends = [], [], []
    real = training.clipped_sum

    def watched(
        network: nn.Module, loss: training.Loss, data: SubjectData, subjects: NDArray[np.intp], **rest
    ) -> dict[str, Tensor]:
        draws[-1].append(subjects.tolist())
        return real(network, loss, data, subjects, **rest)

    monkeypatch.setattr(training, "clipped_sum", watched)
    for name in ("a", "b"):
        draws.append([])
        torch.manual_seed(3)
        starts.append(flat(dict(Tiny().named_parameters())))
        network, _ = train(run_in(tmp_path / name, cohort(2)))
        ends.append(flat(dict(network.named_parameters())))
    assert torch.equal(starts[0], starts[1])
    assert draws[0] != draws[1]
    assert not torch.allclose(ends[0], ends[1])


def test_what_a_run_says_it_spent_is_what_it_drew(tmp_path: Path) -> None:
    """Noise alone is left where nobody's gradient is in: its size is that of the record on disk."""
    run = run_in(tmp_path / "run", cohort(2))
    _, plan = train(run)
    logged = read_log(run.out)
    assert logged is not None
    (event,) = logged.events
    noise = step_gradient(people([0]), replace(plan, sample_rate=1e-9)) * plan.expected_batch_size / BOUND
    n = len(noise)
    ratio = float(noise.square().sum()) / event.noise_multiplier**2
    assert chi2.ppf(ALARM / 2, n) < ratio < chi2.ppf(1 - ALARM / 2, n)


@dataclass(frozen=True)
class Saboteur:
    """A build with one fault, and the claims that must find it out."""

    break_it: Callable[[pytest.MonkeyPatch], None]
    caught_by: tuple[str, ...]


def _patch(name: str, value: object) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: monkeypatch.setattr(f"generators.training.{name}", value)


def _noise_of(factor: float) -> Callable[..., NDArray[np.float64]]:
    from generators.secure_random import secure_normal

    return lambda shape, std=1.0, **speed: secure_normal(shape, std * factor, **speed)


def _sum_with(clip: Callable[..., None]) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: monkeypatch.setattr("generators.gradients.subjects.clip_and_add", clip)


def _clip_the_batch(total: dict[str, Tensor], each: dict[str, Tensor], bound: float) -> None:
    summed = {name: value.sum(0) for name, value in each.items()}
    factor = min(1.0, len(next(iter(each.values()))) * bound / float(flat(summed).norm()))
    for name, value in summed.items():
        total[name] += factor * value


def _clip_layer_by_layer(total: dict[str, Tensor], each: dict[str, Tensor], bound: float) -> None:
    for name, value in each.items():
        norm = value.flatten(1).norm(dim=1)
        total[name] += torch.tensordot((bound / norm).clamp(max=1.0), value, dims=1)


def _do_not_clip(total: dict[str, Tensor], each: dict[str, Tensor], bound: float) -> None:
    for name, value in each.items():
        total[name] += value.sum(0)


def _every_image_a_subject(
    network: nn.Module, loss: training.Loss, data: SubjectData, subjects: NDArray[np.intp], **rest
) -> dict[str, Tensor]:
    rows = np.flatnonzero(np.isin(data.owner, subjects))
    alone = replace(data, owner=np.arange(len(data.owner)))
    return clipped_sum(network, loss, alone, rows, **rest)


def _draw_at(factor: float) -> Callable[[int, float], NDArray[np.bool_]]:
    return lambda n, rate: np.random.default_rng().random(n) < rate * factor


def _draw_a_fixed_number(n: int, rate: float) -> NDArray[np.bool_]:
    chosen = np.zeros(n, dtype=bool)
    chosen[np.random.default_rng().permutation(n)[: round(n * rate)]] = True
    return chosen


def _draw_pairs(n: int, rate: float, share: float, second: Callable[[Pairs], Pairs]) -> NDArray[np.bool_]:
    """Everybody at the right rate; of `share` of the pairs of neighbours, the second depends on the first."""
    rng = np.random.default_rng()
    first, own = rng.random((2, n // 2))
    other = np.where(rng.random(n // 2) < share, second(first), own)
    return np.column_stack([first, other]).ravel() < rate


def _draw_together(n: int, rate: float) -> NDArray[np.bool_]:
    """Variance 15 % too large: covariance 0.15 rate (1 - rate) in each pair."""
    return _draw_pairs(n, rate, 0.15, lambda first: first)


def _draw_in_turn(n: int, rate: float) -> NDArray[np.bool_]:
    """Variance 15 % too small at rate 0.2: covariance -0.6 rate^2 in each pair."""
    return _draw_pairs(n, rate, 0.6, lambda first: 1 - first)


def _add_to_the_mean(total: dict[str, Tensor], plan: DpSgdPlan) -> dict[str, Tensor]:
    return {name: value / len(value) for name, value in total.items()}


SABOTEURS = {
    "noise off": Saboteur(_patch("secure_normal", _noise_of(0.0)), ("noise",)),
    "a fifth of the noise missing": Saboteur(_patch("secure_normal", _noise_of(0.8)), ("noise",)),
    "clipped by batch": Saboteur(_sum_with(_clip_the_batch), ("bound",)),
    "clipped by layer": Saboteur(_sum_with(_clip_layer_by_layer), ("bound", "duplicates")),
    "not clipped": Saboteur(_sum_with(_do_not_clip), ("bound", "duplicates")),
    "images clipped one by one": Saboteur(_patch("clipped_sum", _every_image_a_subject), ("bound", "duplicates")),
    "half as many drawn again": Saboteur(_patch("secure_poisson_draw", _draw_at(1.5)), ("rate",)),
    "batches of a fixed size": Saboteur(_patch("secure_poisson_draw", _draw_a_fixed_number), ("batches",)),
    "some drawn together": Saboteur(_patch("secure_poisson_draw", _draw_together), ("batches",)),
    "some drawn in each other's place": Saboteur(_patch("secure_poisson_draw", _draw_in_turn), ("batches",)),
    "divided by something else": Saboteur(_patch("add_noise", _add_to_the_mean), ("mean",)),
}


@pytest.mark.parametrize(
    ("name", "claim"), [(name, claim) for name, saboteur in SABOTEURS.items() for claim in saboteur.caught_by]
)
def test_a_broken_build_is_caught(name: str, claim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    SABOTEURS[name].break_it(monkeypatch)
    with pytest.raises(AssertionError):
        CLAIMS[claim]()
