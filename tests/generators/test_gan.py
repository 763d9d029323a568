"""`gan`: who reaches whom, what a checkpoint keeps, and images of every size and kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generators.base import CellCount, ConfigError
from generators.conditions import Vocabulary
from generators.config import build_config
from generators.data import ImageSet
from generators.folder import load_tensors
from generators.gan import GanConfig, Opponent, discriminator_loss
from generators.gradients.subjects import SubjectData, clipped_sum
from generators.networks.adversaries import Discriminator, GeneratorNetwork, mean_conditions, whiten
from generators.networks.tensors import any_conditions
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator
from generators.steps_log import read_log
from tests.generators.recorders import Recorder

BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=50, accountant="rdp")
CONFIG = {
    "n_steps": 4,
    "batch_size": 10,
    "width": 8,
    "n_latents": 4,
    "discriminator_steps": 2,
    "generator_steps": 1,
    "generator_batch": 4,
    "warm_steps": 1,
    "public_steps": 1,
    "checkpoint_every": 1,
}
WORDS = Vocabulary(labels=("a", "b"), sexes=(), age_groups=())


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=4).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=9, max_images=1).images


def networks(size: int = 16, channels: int = 1) -> tuple[GeneratorNetwork, Discriminator]:
    """Of two labels; the discriminator has something to say already."""
    centre = mean_conditions(WORDS)
    generator = GeneratorNetwork(size=size, channels=channels, centre=centre, n_latents=4, width=8)
    discriminator = Discriminator(size=size, channels=channels, centre=centre, width=8)
    for layer in (discriminator.score, discriminator.project):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return generator, discriminator


@pytest.mark.parametrize("n_images", [1, 3, 20])
def test_a_person_of_any_number_of_images_moves_the_discriminator_by_at_most_the_bound(n_images: int) -> None:
    generator, discriminator = networks()
    images = 1e3 * torch.randn(n_images, 1, 16, 16)
    data = SubjectData(
        images=images, conditions=torch.eye(2)[torch.randint(2, (n_images,))], owner=np.zeros(n_images, int), views=4
    )
    total = clipped_sum(discriminator, discriminator_loss(generator), data, np.array([0]), bound=0.5, microbatch=4)
    assert float(torch.sqrt(sum(value.square().sum() for value in total.values()))) <= 0.5 * (1 + 1e-5)


def test_the_generators_step_looks_at_no_image_and_leaves_the_discriminator_alone() -> None:
    """All that it is given are two networks: equal ones give equal steps, whatever trained them."""
    settings = replace(build_config(GanConfig, CONFIG), discriminator_steps=1)
    generator, discriminator = networks()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    opponent = Opponent(generator, discriminator, WORDS, settings)
    start = {name: value.clone() for name, value in generator.state_dict().items()}
    opponent.after_step(0)
    assert all(torch.equal(before[name], value) for name, value in discriminator.state_dict().items())
    assert any(not torch.equal(start[name], value) for name, value in generator.state_dict().items())


@pytest.mark.parametrize(
    ("every", "moved"), [(1, [True] * 4), (2, [False, True, False, True]), (4, [False] * 3 + [True])]
)
def test_the_generator_moves_once_in_so_many_steps(every: int, moved: list[bool]) -> None:
    generator, discriminator = networks()
    opponent = Opponent(
        generator, discriminator, WORDS, replace(build_config(GanConfig, CONFIG), discriminator_steps=every)
    )
    found = []
    for step in range(4):
        before = generator.up.start.weight.clone()
        opponent.after_step(step)
        found.append(not torch.equal(before, generator.up.start.weight))
    assert found == moved


def test_a_round_has_so_many_steps_of_the_generator() -> None:
    settings = replace(build_config(GanConfig, CONFIG), discriminator_steps=2, generator_steps=3)
    opponent = Opponent(*networks(), WORDS, settings)
    for step in range(4):
        opponent.after_step(step)
    state = opponent.optimizer.state_dict()["state"]
    assert {int(value["step"]) for value in state.values()} == {6}


def test_a_companion_goes_on_where_its_checkpoint_stands() -> None:
    settings = replace(build_config(GanConfig, CONFIG), discriminator_steps=1)
    first, second = (Opponent(*networks(), WORDS, settings) for _ in range(2))
    first.after_step(0)
    second.load({name: torch.from_numpy(np.array(value)) for name, value in first.tensors().items()})
    kept, loaded = first.tensors(), second.tensors()
    assert kept.keys() == loaded.keys()
    assert all(name.startswith("companion.") for name in kept)
    assert all(np.array_equal(kept[name], loaded[name]) for name in kept)


def test_a_killed_run_resumes_within_its_budget(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    call = {"name": "gan", "images": cohort, "budget": BUDGET, "config": CONFIG, "out": tmp_path, "public": public}
    with pytest.raises(KeyboardInterrupt):
        train_generator(**call, recorder=Recorder(dies_at=2))
    held = load_tensors(tmp_path / "checkpoint.safetensors")
    assert any(name.startswith("companion.network.") for name in held)
    card = train_generator(**call, resume=True)
    assert (logged := read_log(tmp_path)) is not None
    assert logged.by_phase == {"train": 4}
    assert card.spend.spent_epsilon <= 8
    assert not any(name.startswith("features") for name in load_tensors(tmp_path / "network.safetensors"))


def test_the_head_alone_is_trained_privately(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    """Features stay as public images left them; without public steps there are none to keep."""
    for name, public_steps, moved in (
        ("head", 1, {"score", "project"}),
        ("whole", 0, {"score", "project", "features"}),
    ):
        out, config = tmp_path / name, CONFIG | {"public_steps": public_steps, "warm_steps": 0}
        train_generator(name="gan", images=cohort, budget=BUDGET, config=config, out=out, public=public)
        optimized = sum(
            key.endswith("exp_avg")
            for key in load_tensors(out / "checkpoint.safetensors")
            if key.startswith("optimizer.")
        )
        _, discriminator = networks()
        wanted = [key for key, _ in discriminator.named_parameters() if key.split(".")[0] in moved]
        assert optimized == len(wanted)


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (48, 3), (128, 1)])
def test_images_of_every_size_in_grey_and_colour(size: int, channels: int) -> None:
    generator, discriminator = networks(size, channels)
    drawn = generator.draw(torch.eye(2)).detach()
    assert drawn.shape == (2, channels, size, size)
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    assert discriminator(drawn, torch.eye(2)).shape == (2,)


def test_colour_in_and_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = ImageSet(
        images=rng.integers(0, 255, (40, 16, 16, 3)).astype(np.uint8),
        label=np.where(np.arange(40) % 2, "a", "b"),
        subject=np.arange(40).astype(str),
    )
    train_generator(name="gan", images=images, budget=BUDGET, config=CONFIG, out=tmp_path / "g", public=images)
    assert sample_generator(tmp_path / "g", [CellCount(label="a", n=3)]).images.shape == (3, 16, 16, 3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"width": 12}, "width: is 12; choose a multiple of 8", id="width"),
        pytest.param({"discriminator_steps": 0}, "discriminator_steps", id="no step of the discriminator"),
    ],
)
def test_bad_settings_are_named(
    config: dict[str, object], message: str, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train_generator(
            name="gan", images=cohort, budget=BUDGET, config=CONFIG | config, out=tmp_path / "g", public=public
        )
    assert not (tmp_path / "g" / "steps.log").exists()


def test_a_side_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ConfigError, match="a side of 50 pixels"):
        networks(50)


def test_what_all_private_images_share_cancels_in_the_labels_weights() -> None:
    """Both labels far from what is drawn, and alike: their weights stay where they are, the score's do not."""
    generator, discriminator = networks()
    discriminator.forget()
    images = torch.rand(1, 1, 16, 16).expand(40, -1, -1, -1)
    conditions = torch.eye(2)[torch.arange(40) % 2]
    with torch.no_grad():
        generator.up.layers[-1].bias.fill_(-9.0)  # draws black
    discriminator_loss(generator)(discriminator, images, conditions).sum().backward()
    shared, own = discriminator.score.weight.grad, discriminator.project.weight.grad
    assert shared is not None
    assert own is not None
    assert float(own.abs().max()) < 1e-3 * float(shared.abs().max())


def test_the_centre_is_the_mean_of_the_conditions_that_are_drawn() -> None:
    words = Vocabulary(labels=("a", "b", "c"), sexes=("F", "M"), age_groups=("0-17",))
    torch.manual_seed(0)
    assert torch.allclose(mean_conditions(words), any_conditions(words, 20_000).mean(0), atol=0.02)


def test_settled_features_vary_alike_and_apart_and_a_dull_one_is_no_noise() -> None:
    inputs = torch.randn(500, 6) @ torch.randn(6, 6) * 10 + 3
    inputs[:, 5] = inputs[:, 4]
    layer = torch.nn.Linear(6, 4)
    whiten(layer, inputs)
    outputs = layer(inputs).detach()
    assert torch.allclose(outputs.mean(0), torch.zeros(4), atol=1e-3)
    assert torch.allclose(torch.cov(outputs.T), torch.eye(4), atol=0.02)
    wide = torch.nn.Linear(6, 8)
    whiten(wide, inputs)
    assert wide(inputs).abs().max() < 100
