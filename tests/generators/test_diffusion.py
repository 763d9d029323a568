"""Pixel diffusion: the UNet under vmap, the central images' sensitivity, whole runs, death and resumption."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generators.base import CellCount, ConfigError, GeneratorError, Run, no_progress
from generators.data import ImageSet
from generators.folder import load_tensors
from generators.gradients.subjects import SubjectData, clipped_sum
from generators.networks.denoising import (
    Denoiser,
    Drawing,
    NoiseProcess,
    denoising_loss,
    draw_images,
    new_unet,
    patch_side,
)
from generators.networks.starts import GaussianStart
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.releases.central_images import (
    COUNT_WEIGHT,
    CentralImages,
    PublicFrame,
    exact_sums,
    label_shifts,
    moved_images,
    release_central_images,
)
from generators.runner import sample_generator, train_generator
from generators.steps_log import read_log, spent_from_log
from tests.generators.recorders import Recorder

# Full batches under prv have a closed form: calibrating the noise takes no time.
BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=60)
SMALL: dict[str, object] = {
    "n_steps": 3,
    "batch_size": 60,
    "views": 2,
    "width": 8,
    "checkpoint_every": 2,
    "public_steps": 2,
    "central_steps": 2,
    "solver_steps": 3,
}


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=4).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=9, max_images=1).images


def in_colour(images: ImageSet) -> ImageSet:
    return replace(images, images=np.stack([images.images, images.images // 2, 255 - images.images], axis=-1))


def small_denoiser() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(new_unet(size=16, channels=1, width=8), n_conditions=3)


def small_loss(network: torch.nn.Module, images: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
    """A loss that draws nothing, so that two ways to the same gradient can be compared."""
    timesteps = torch.arange(len(images)) * 100
    return (network(images, timesteps, conditions) - images).square().flatten(1).mean(1)  # type: ignore[no-any-return]


def test_gradients_through_the_unet_are_those_of_a_loop_over_subjects() -> None:
    network = small_denoiser().double()
    with torch.no_grad():
        for value in network.parameters():  # layers that start at zero would hide those before them
            value.add_(torch.randn_like(value) * 0.05)
    data = SubjectData(
        images=torch.rand(3, 1, 16, 16, dtype=torch.float64),
        conditions=torch.eye(3, dtype=torch.float64),
        owner=np.arange(3),
        views=1,
    )
    together = clipped_sum(network, small_loss, data, np.arange(3), bound=float("inf"), microbatch=2)
    network.zero_grad()
    for no in range(3):
        small_loss(network, data.images[no : no + 1], data.conditions[no : no + 1]).sum().backward()
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        assert torch.allclose(together[name], value.grad, atol=1e-5), name
    assert all(float(value.abs().max()) > 0 for name, value in together.items() if not name.endswith("to_k.bias"))


def test_the_loss_falls_and_views_draw_their_own_noise_levels() -> None:
    network = small_denoiser()
    loss = denoising_loss(NoiseProcess.of_pixels("v_prediction"), condition_dropout=0.1, n_labels=3)
    images, conditions = torch.full((32, 1, 16, 16), 0.8), torch.eye(3)[torch.arange(32) % 3]
    torch.manual_seed(1)
    before = loss(network, images, conditions).detach()
    assert len(torch.unique(before)) > 16
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(15):
        optimizer.zero_grad()
        loss(network, images, conditions).mean().backward()
        optimizer.step()
    with torch.no_grad():
        assert float(loss(network, images, conditions).mean()) < 0.6 * float(before.mean())


@pytest.mark.parametrize(("size", "patch"), [(8, 1), (28, 1), (40, 2), (48, 4), (64, 4), (128, 8)])
def test_every_side_that_four_divides_has_a_unet(size: int, patch: int) -> None:
    assert patch_side(size) == patch
    network = Denoiser(new_unet(size=size, channels=3, width=8), n_conditions=2, patch=patch)
    with torch.no_grad():
        drawn = network(torch.zeros(1, 3, size, size), torch.tensor([5]), torch.zeros(1, 2))
    assert drawn.shape == (1, 3, size, size)


def run_of(images: ImageSet, recorder: Recorder) -> Run:
    return Run(
        images=images,
        budget=BUDGET,
        config={},
        out=Path(),
        seed=0,
        public=None,
        device="cpu",
        recorder=recorder,
        progress=no_progress,
        resume=False,
    )


FRAME = PublicFrame(mean=torch.full((1, 4, 4), 0.5), radius=0.2)


@pytest.mark.parametrize("n_images", [1, 2, 4, 8, 20])
def test_a_person_moves_sums_and_counts_by_no_more_than_the_sensitivity(n_images: int) -> None:
    """Worst case: saturated images, of one label and of several."""
    images = torch.ones(n_images, 1, 8, 8)
    deviations = FRAME.deviations(images)
    subjects = np.full(n_images, "one")
    for labels in (np.zeros(n_images, dtype=np.intp), np.arange(n_images) % 3):
        contribution = exact_sums(deviations, labels, subjects, 3)
        assert np.linalg.norm(contribution) <= np.sqrt(1 + COUNT_WEIGHT**2) + 1e-9
        assert contribution[:, -1].sum() == pytest.approx(COUNT_WEIGHT)
    alone = exact_sums(deviations, np.zeros(n_images, dtype=np.intp), subjects, 3)
    assert np.linalg.norm(alone) == pytest.approx(np.sqrt(1 + COUNT_WEIGHT**2))


def test_the_release_is_recorded_and_its_noise_has_the_size_that_was_charged(cohort: ImageSet) -> None:
    recorder = Recorder()
    images = torch.rand(len(cohort), 1, 8, 8)
    labels = np.zeros(len(cohort), dtype=np.intp)
    frame = PublicFrame(mean=torch.full((1, 8, 8), 0.5), radius=0.2)
    released = [
        release_central_images(run_of(cohort, recorder), images, labels, frame, n_labels=40, noise_multiplier=3.0)
        for _ in range(2)
    ]
    assert [(record.phase, record.noise_multiplier, record.sample_rate) for record in recorder.steps] == [
        ("warm-up", 3.0, 1.0)
    ] * 2
    std = 3.0 * np.sqrt(1 + COUNT_WEIGHT**2)
    difference = (released[0].sums - released[1].sums) / np.sqrt(2)
    assert difference.std() == pytest.approx(std, rel=0.1)
    counted = np.concatenate([one.counts[1:] for one in released])
    assert counted.std() == pytest.approx(std / COUNT_WEIGHT, rel=0.35)


def test_shifts_find_the_labels_means_and_leave_an_empty_label_at_the_shared_one() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    images = torch.full((400, 1, 4, 4), 0.5)
    images[:200, :, :2] += 0.04
    images[200:, :, 2:] += 0.04
    exact = exact_sums(FRAME.deviations(images), labels, np.arange(400).astype(str), 3)
    noise = rng.normal(size=exact.shape) * 0.5
    released = CentralImages(
        sums=(exact + noise)[:, :-1],
        counts=(exact + noise)[:, -1] / COUNT_WEIGHT,
        sums_noise=0.5,
        counts_noise=0.5 / COUNT_WEIGHT,
    )
    shifts = label_shifts(released, FRAME)
    wanted = torch.stack([images[0] - 0.5, images[-1] - 0.5, torch.full((1, 4, 4), 0.02)])
    assert torch.allclose(shifts[:2], wanted[:2], atol=0.005)
    assert torch.allclose(shifts[2], wanted[2], atol=0.02)


def test_public_images_move_to_the_labels_means() -> None:
    public = torch.rand(50, 1, 8, 8) * 0.2 + 0.3
    frame = PublicFrame.of(public, 4)
    shifts = torch.stack([torch.full((1, 4, 4), 0.1), torch.full((1, 4, 4), -0.1)])
    known = np.where(np.arange(50) < 20, 0, -1)
    moved, labels = moved_images(public, known, shifts, frame, seed=0)
    assert np.all(labels[:20] == 0)
    assert set(labels[20:]) == {0, 1}
    assert moved[:20].mean() == pytest.approx(float(frame.mean.mean()) + 0.1, abs=0.005)


def test_a_run_is_charged_for_warm_up_and_steps_and_draws_repeatably(
    cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    out = tmp_path / "g"
    card = train_generator(name="diffusion", images=cohort, budget=BUDGET, config=SMALL, out=out, public=public)
    assert [event.steps for event in card.spend.events] == [1, 3]
    assert 7.5 < card.spend.spent_epsilon == spent_from_log(out).spent_epsilon <= 8
    assert not card.notes
    wanted = [CellCount(label="nodule", n=2, sex="F"), CellCount(label="normal", n=1)]
    first, again, other = (sample_generator(out, wanted, seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    assert first.images.shape == (3, 16, 16)
    assert first.images.std() > 0


@pytest.mark.parametrize(
    ("colour", "change"),
    [
        pytest.param(True, {}, id="colour"),
        pytest.param(False, {"prediction": "epsilon", "solver": "ddim", "guidance": 1}, id="epsilon and ddim"),
        pytest.param(False, {"central_share": 0, "public_steps": 0, "average": 0}, id="nothing public"),
    ],
)
def test_a_reference_without_privacy_runs_in_every_mode(
    colour: bool, change: Mapping[str, object], cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    images, shown = (in_colour(cohort), in_colour(public)) if colour else (cohort, public)
    budget = PrivacyBudget.without_privacy(public_n_subjects=60)
    card = train_generator(
        name="diffusion", images=images, budget=budget, config={**SMALL, **change}, out=tmp_path / "g", public=shown
    )
    assert card.notes[0].startswith("NOT PRIVATE")
    assert bool(card.public_data) == ("public_steps" not in change)
    drawn = sample_generator(tmp_path / "g", [CellCount(label="normal", n=2)])
    assert drawn.images.shape == (2, 16, 16, 3) if colour else (2, 16, 16)


@pytest.mark.parametrize(
    ("phase", "step", "private"), [("warm-up", 0, True), ("train", 0, True), ("train", 2, True), ("train", 1, False)]
)
def test_a_killed_run_resumes_within_its_plan(
    phase: str, step: int, private: bool, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    budget = BUDGET if private else PrivacyBudget.without_privacy(public_n_subjects=60)
    call = {"name": "diffusion", "images": cohort, "budget": budget, "out": tmp_path, "public": public}
    with pytest.raises(KeyboardInterrupt):
        train_generator(**call, config=SMALL, recorder=Recorder(dies_at=step, dies_in=phase))  # type: ignore[arg-type]
    card = train_generator(**call, config=SMALL, resume=True)  # type: ignore[arg-type]
    logged = read_log(tmp_path)
    assert logged is not None
    assert dict(logged.by_phase) == {"warm-up": 1, "train": 3}
    assert logged.planned.events == logged.events
    lost = any("paid for and were not used" in note for note in card.notes)
    assert lost == (phase == "warm-up")


@pytest.mark.parametrize(
    ("size", "config", "message"),
    [
        pytest.param(18, {}, "a side of 18 pixels; use a multiple of 4", id="side"),
        pytest.param(16, {"width": 12}, "width: is 12; use a multiple of 8", id="width"),
        pytest.param(16, {"solver": "euler"}, "solver: is 'euler'; choose one of dpm-solver, ddim", id="solver"),
        pytest.param(16, {"prediction": "x"}, "prediction: is 'x'; choose one of v_prediction", id="prediction"),
        pytest.param(16, {"central_share": 1}, "central_share", id="share"),
        pytest.param(16, {"refined": "some"}, "refined: is 'some'; choose conditions or all", id="refined"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_charged(
    size: int, config: Mapping[str, object], message: str, tmp_path: Path
) -> None:
    images = draw_phantoms(n_subjects=20, size=size, seed=4).images
    with pytest.raises(GeneratorError, match=message) as refusal:
        train_generator(name="diffusion", images=images, budget=BUDGET, config={**SMALL, **config}, out=tmp_path / "g")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "g" / "steps.log").exists()


def test_colour_needs_public_images_in_colour(cohort: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name a public set of colour images"):
        train_generator(name="diffusion", images=in_colour(cohort), budget=BUDGET, config=SMALL, out=tmp_path / "g")


def test_a_start_has_the_labels_means_and_varies_as_its_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(400) < 200, 0, -1)
    labels[100:200] = 1
    images = torch.from_numpy(rng.normal(0.5, 0.05, (400, 1, 4, 4)).astype(np.float32))
    images[labels == 0] += 0.2
    start = GaussianStart.of(images, labels, 3, seed=0)
    start.save(tmp_path)
    loaded = GaussianStart.load(tmp_path)
    assert loaded is not None
    drawn = [loaded.draw(np.full(500, label), seed=1) for label in range(3)]
    for label, wanted in ((0, images[labels == 0]), (1, images[labels == 1]), (2, images)):
        assert drawn[label].mean() == pytest.approx(float(wanted.mean()), abs=0.01), label
    assert float(drawn[0].std(0).mean()) == pytest.approx(0.05, rel=0.15)
    assert torch.equal(drawn[0], loaded.draw(np.zeros(500, dtype=np.intp), seed=1))
    assert GaussianStart.load(tmp_path / "none") is None


@pytest.mark.parametrize("solver", ["dpm-solver", "ddim"])
def test_drawing_goes_on_from_a_start_in_fewer_steps_and_keeps_what_it_shows(solver: str) -> None:
    """A network that always says "no velocity, no noise" leaves a start at little noise as it is."""

    class Idle(Denoiser):
        n_passes = 0

        def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
            self.n_passes += 1
            return torch.zeros_like(noisy)

    network = Idle(new_unet(size=16, channels=1, width=8), n_conditions=2)
    start = torch.rand(2, 1, 16, 16) * 0.5 + 0.25
    drawing = Drawing(process=NoiseProcess.of_pixels("epsilon"), solver=solver, n_steps=10, guidance=1, strength=0.1)
    drawn = draw_images(network, torch.eye(2), drawing, shape=(1, 16, 16), seed=0, progress=no_progress, start=start)
    assert network.n_passes == 1
    assert torch.corrcoef(torch.stack([drawn.flatten(), start.flatten()]))[0, 1] > 0.7


@pytest.mark.parametrize(
    ("refined", "private", "moved"), [("conditions", True, False), ("all", True, True), ("conditions", False, True)]
)
def test_private_steps_move_conditions_alone_unless_told(
    refined: str, private: bool, moved: bool, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    """Compared with a run of the same seed whose private steps move nothing."""
    budget = BUDGET if private else PrivacyBudget.without_privacy(public_n_subjects=60)
    found = []
    for rate in ("1e-3", "1e-7"):
        config = {**SMALL, "refined": refined, "learning_rate": rate, "average": 0, "central_share": 0}
        out = tmp_path / rate
        train_generator(name="diffusion", images=cohort, budget=budget, config=config, out=out, public=public)
        found.append(load_tensors(out / "network.safetensors"))
    changed = {name for name, value in found[0].items() if np.abs(value - found[1][name]).max() > 1e-4}
    assert "network.unet.class_embedding.weight" in changed
    assert (len(changed) > 1) == moved
