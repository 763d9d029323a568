"""The denoiser and its sampler on distributions that are known, and whole runs of `latent-diffusion` on phantoms."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.base import CellCount, ConfigError, GeneratorError, ResumeError, no_progress
from generators.data import ImageSet
from generators.folder import load_tensors
from generators.latent.denoiser import LatentDenoiser, denoising_loss, draw_latents
from generators.latent_diffusion import PRETRAINED, STATISTICS, WEIGHTS
from generators.networks.tensors import seeded
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.public.pretraining import pretrain
from generators.runner import load_card, sample_generator, train_generator
from generators.steps_log import read_log, spent_from_log
from tests.generators.recorders import Recorder

NAME = "latent-diffusion"
BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=60)
SMALL = {
    "n_components": 8,
    "n_steps": 3,
    "views": 2,
    "width": 8,
    "depth": 1,
    "public_steps": 2,
    "draw_steps": 3,
    "n_draws": 100,
    "checkpoint_every": 2,
    "detail": "none",
}


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=50, size=32, seed=4).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=60, size=32, seed=9, max_images=1).images


def denoiser(n_conditions: int = 2, width: int = 32) -> LatentDenoiser:
    with seeded(0):
        return LatentDenoiser(n_latents=4, n_conditions=n_conditions, width=width, depth=1, data_std=1.0)


def drawn(network: LatentDenoiser, conditions: Tensor, guidance: float = 1.0, seed: int = 0) -> Tensor:
    return draw_latents(
        network,
        conditions,
        n_labels=2,
        guidance=guidance,
        n_steps=18,
        random=torch.Generator().manual_seed(seed),
    )


def test_an_untaught_denoiser_draws_the_public_gaussian() -> None:
    latents = drawn(denoiser(), torch.zeros(4000, 2))
    assert latents.std(0).tolist() == pytest.approx([1.0] * 4, abs=0.05)
    assert latents.mean(0).tolist() == pytest.approx([0.0] * 4, abs=0.06)


def test_a_taught_denoiser_draws_what_its_label_asks_for_and_guidance_more_of_it() -> None:
    generator = torch.Generator().manual_seed(1)
    conditions = torch.eye(2)[torch.arange(2000) % 2]
    latents = torch.randn(2000, 4, generator=generator) * 0.5
    latents[:, 0] += 2 * conditions[:, 0] - 1
    network = denoiser()
    loss = denoising_loss((2,), data_std=1.0, dropped=0.15)
    pretrain(
        network,
        loss,
        latents,
        conditions,
        n_steps=300,
        learning_rate=5e-3,
        seed=0,
        progress=no_progress,
        batch=128,
    )
    asked = torch.eye(2)[torch.arange(1000) % 2]
    found, guided = drawn(network, asked), drawn(network, asked, guidance=2.0)
    means = [float(part[asked[:, 0] == 1, 0].mean() - part[asked[:, 0] == 0, 0].mean()) for part in (found, guided)]
    assert means[0] == pytest.approx(2.0, abs=0.3)
    assert means[1] > means[0] + 0.2
    assert found[:, 1:].std(0).tolist() == pytest.approx([0.5] * 3, abs=0.1)
    assert torch.equal(found, drawn(network, asked))
    assert not torch.equal(found, drawn(network, asked, seed=1))


def test_a_run_charges_the_statistics_first_and_the_steps_within_one_plan(
    cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    out = tmp_path / "g"
    card = train_generator(name=NAME, images=cohort, budget=BUDGET, config=SMALL, out=out, public=public, seed=3)
    assert 7.9 < card.spend.spent_epsilon <= 8
    assert load_card(out).spend == card.spend == spent_from_log(out)
    assert (logged := read_log(out)) is not None
    assert logged.settled
    assert logged.events == logged.planned.events
    statistics = spent_from_log(out / STATISTICS)
    assert (*statistics.events, card.spend.events[-1]) == card.spend.events
    assert list(logged.by_phase)[:2] == ["means", "covariance"]
    assert (list(logged.by_phase)[-1], logged.steps_of("train")) == ("train", 3)
    shutil.rmtree(out / STATISTICS)  # sampling needs nothing of it that the generator's digest does not cover
    wanted = [CellCount(label="nodule", n=3, sex="F", age_group="65+"), CellCount(label="normal", n=2)]
    first, again, other = (sample_generator(out, wanted, seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest


@pytest.mark.parametrize(("refined", "public_n", "rate"), [("conditions", 60, 1.0), ("all", 240, 0.25)])
def test_full_batches_or_poisson_draws_change_only_the_weights_they_may(
    refined: str, public_n: int, rate: float, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    """Up to the batch size every subject enters every step; beyond it they are drawn."""
    budget = PrivacyBudget(target_epsilon=8, public_n_subjects=public_n, accountant="rdp")
    config = {**SMALL, "refined": refined, "batch_size": 60}
    card = train_generator(name=NAME, images=cohort, budget=budget, config=config, out=tmp_path / "g", public=public)
    assert card.spend.events[-1].sample_rate == rate
    assert card.spend.spent_epsilon <= 8
    before, after = (load_tensors(tmp_path / "g" / name) for name in (PRETRAINED, WEIGHTS))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == ({"network.conditions.weight"} if refined == "conditions" else set(before))


@pytest.mark.parametrize("at", [0, 2])
def test_a_run_killed_in_its_private_steps_resumes_within_its_plan(
    at: int, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    call = {"name": NAME, "images": cohort, "budget": BUDGET, "out": tmp_path / "g", "public": public, "config": SMALL}
    with pytest.raises(KeyboardInterrupt):
        train_generator(**call, recorder=Recorder(dies_in="train", dies_at=at))
    card = train_generator(**call, resume=True)
    assert (logged := read_log(tmp_path / "g")) is not None
    assert logged.events == logged.planned.events
    assert card.spend.spent_epsilon <= 8
    assert sample_generator(tmp_path / "g", [CellCount(label="normal", n=2)]).images.std() > 0


@pytest.mark.parametrize("phase", ["means", "covariance"])
def test_a_run_killed_in_its_statistics_is_refused_in_a_line_and_stays_charged(
    phase: str, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    call = {"name": NAME, "images": cohort, "budget": BUDGET, "out": tmp_path / "g", "public": public, "config": SMALL}
    step = {"means": 0, "covariance": 1}[phase]
    with pytest.raises(KeyboardInterrupt):
        train_generator(**call, recorder=Recorder(dies_in=phase, dies_at=step))
    spent = spent_from_log(tmp_path / "g")
    assert sum(event.steps for event in spent.events) == step + 1
    with pytest.raises(ResumeError, match="statistics") as refusal:
        train_generator(**call, resume=True)
    assert "\n" not in str(refusal.value)
    assert spent_from_log(tmp_path / "g") == spent


def test_a_run_killed_between_its_phases_goes_on(
    cohort: ImageSet, public: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import generators.latent_diffusion as module

    call = {"name": NAME, "images": cohort, "budget": BUDGET, "out": tmp_path / "g", "public": public, "config": SMALL}

    def dies(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    for place in ("_release_statistics", "_teach", "train_network", "finish_run"):
        with monkeypatch.context() as patched:
            patched.setattr(module, place, dies)
            with pytest.raises(KeyboardInterrupt):
                train_generator(**call, resume=(tmp_path / "g").exists())
    train_generator(**call, resume=True)
    assert (logged := read_log(tmp_path / "g")) is not None
    assert logged.events == logged.planned.events


def test_a_reference_without_privacy_is_labelled(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    budget = PrivacyBudget.without_privacy(public_n_subjects=60)
    card = train_generator(name=NAME, images=cohort, budget=budget, config=SMALL, out=tmp_path / "g", public=public)
    assert card.notes[0].startswith("NOT PRIVATE")
    assert sample_generator(tmp_path / "g", [CellCount(label="opacity", n=2)]).images.std() > 0


def test_an_empty_label_and_twelve_bits(public: ImageSet, tmp_path: Path) -> None:
    images = draw_phantoms(n_subjects=40, size=32, bit_depth=12, labels=("normal", "nodule"), max_images=1).images
    config = {**SMALL, "labels": "normal,nodule,opacity"}
    bare = replace(images, sex=None, age_group=None)
    train_generator(name=NAME, images=bare, budget=BUDGET, config=config, out=tmp_path / "g", public=public)
    shown = sample_generator(tmp_path / "g", [CellCount(label="opacity", n=3)])
    assert shown.images.dtype == np.uint16
    assert shown.images.std() > 0


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        pytest.param({"refined": "some"}, ConfigError, "refined", id="unknown weights"),
        pytest.param({"detail": "ribs"}, ConfigError, "detail", id="unknown detail"),
        pytest.param({"statistics_share": 1}, ConfigError, "0.95", id="nothing left for steps"),
        pytest.param({"sampling_steps": 1}, ConfigError, "sampling_steps", id="one step"),
    ],
)
def test_bad_input_is_named_and_costs_nothing(
    config: dict[str, object], error: type[GeneratorError], message: str, cohort: ImageSet, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message) as refusal:
        train_generator(name=NAME, images=cohort, budget=BUDGET, config=config, out=tmp_path / "g")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "g" / "steps.log").exists()
