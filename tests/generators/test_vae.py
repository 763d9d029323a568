"""`vae`: what enters its two private accesses, what they cost together, and where latents come from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generators.base import CellCount
from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.folder import load_tensors
from generators.latent.release import planned_events
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.releases.vae_latents import (
    SHARES,
    PublicPosterior,
    draw_latents,
    release_latents,
)
from generators.runner import load_card, sample_generator, train_generator
from generators.steps_log import read_log
from generators.vae import VaeNetwork, vae_loss
from tests.generators.recorders import Recorder

BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=50, accountant="rdp")
CONFIG = {"n_steps": 3, "batch_size": 10, "width": 8, "n_latents": 4, "public_steps": 2, "checkpoint_every": 1}


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=4).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=9, max_images=1).images


def test_the_release_and_the_steps_share_one_budget(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    card = train_generator(name="vae", images=cohort, budget=BUDGET, config=CONFIG, out=tmp_path, public=public)
    assert (logged := read_log(tmp_path)) is not None
    assert logged.by_phase == {"latent means": 1, "latent covariance": 1, "train": 3}
    assert 7.5 < card.spend.spent_epsilon <= 8
    assert {(event.sample_rate, event.steps) for event in card.spend.events} == {(1.0, 1), (0.2, 3)}


def test_two_mechanisms_are_one_of_the_whole_noise() -> None:
    whole = 1 / sum(event.noise_multiplier**-2 for event in planned_events(3.0, SHARES)) ** 0.5
    assert whole == pytest.approx(3.0)


def test_the_encoder_and_the_public_posterior_owe_nothing_to_private_images(
    cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    half = cohort.select(np.arange(0, len(cohort), 2))
    for name, images in (("a", cohort), ("b", half)):
        train_generator(name="vae", images=images, budget=BUDGET, config=CONFIG, out=tmp_path / name, public=public)
    networks, latents = (
        [load_tensors(tmp_path / name / file) for name in ("a", "b")]
        for file in ("network.safetensors", "latents.safetensors")
    )
    for key in networks[0]:
        # The decoder was trained privately, with noise of its own in each run; a bias before a norm may not move.
        assert np.array_equal(networks[0][key], networks[1][key]) or "decoder" in key, key
    assert any(not np.array_equal(networks[0][key], networks[1][key]) for key in networks[0])
    assert all(np.array_equal(latents[0][key], latents[1][key]) for key in ("centre", "scale", "spread"))
    assert not np.array_equal(latents[0]["effects"], latents[1]["effects"])


@pytest.mark.parametrize(
    ("phase", "released"), [("latent means", False), ("latent covariance", False), ("train", True)]
)
def test_a_killed_run_resumes_in_every_phase_and_pays_for_nothing_twice(
    phase: str, released: bool, cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    call = {"name": "vae", "images": cohort, "budget": BUDGET, "config": CONFIG, "out": tmp_path, "public": public}
    with pytest.raises(KeyboardInterrupt):
        train_generator(**call, recorder=Recorder(dies_in=phase))
    card = train_generator(**call, resume=True)
    assert card.spend.spent_epsilon <= 8
    assert (logged := read_log(tmp_path)) is not None
    assert logged.by_phase["latent means"] == 1
    assert logged.by_phase["train"] == 3
    # What was charged and lost is not asked for again: latents then come from public images.
    assert ("effects" in load_tensors(tmp_path / "latents.safetensors")) == released
    assert len(sample_generator(tmp_path, [CellCount(label="normal", n=2)])) == 2


def test_without_public_steps_all_is_trained_privately_and_latents_come_from_the_prior(
    cohort: ImageSet, tmp_path: Path
) -> None:
    config = CONFIG | {"public_steps": 0}
    card = train_generator(name="vae", images=cohort, budget=BUDGET, config=config, out=tmp_path)
    assert card.public_data == []
    assert not (tmp_path / "latents.safetensors").exists()
    assert sum(event.steps for event in card.spend.events) == 3
    assert load_card(tmp_path).spend == card.spend
    assert len(sample_generator(tmp_path, [CellCount(label="normal", n=2)])) == 2


def test_without_noise_latents_are_drawn_around_the_means_of_people(cohort: ImageSet, tmp_path: Path) -> None:
    """A label's latents lie where its people's do, and spread as they do."""
    from generators.base import Run, no_progress

    rng = np.random.default_rng(0)
    n = 4000
    shift = np.where(np.arange(n) % 2, 3.0, -1.0)
    means = rng.standard_normal((n, 2)) * [1.0, 0.5] + np.stack([shift, np.zeros(n)], axis=1)
    images = ImageSet(
        images=np.zeros((n, 1, 1), dtype=np.uint8),
        label=np.where(np.arange(n) % 2, "b", "a"),
        subject=np.arange(n).astype(str),
    )
    run = Run(
        images=images, budget=PrivacyBudget.without_privacy(public_n_subjects=n), config={}, out=tmp_path, seed=0,
        public=None, device="cpu", recorder=Recorder(), progress=no_progress, resume=False,
    )  # fmt: skip
    public = PublicPosterior.of(torch.randn(500, 2), torch.full((500, 2), -20.0))
    words = Vocabulary.of(images)
    release_latents(torch.from_numpy(means), public, words, run, noise_multiplier=0.0)
    drawn = draw_latents(tmp_path, words, np.array([[0, -1, -1]] * 5000 + [[1, -1, -1]] * 5000), seed=1).numpy()
    for part, centre in ((drawn[:5000], -1.0), (drawn[5000:], 3.0)):
        assert np.allclose(part.mean(0), [centre, 0.0], atol=0.15)
        assert np.allclose(part.std(0), [1.0, 0.5], atol=0.1)


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (48, 3), (128, 1)])
def test_images_of_every_size_in_grey_and_colour(size: int, channels: int) -> None:
    network = VaeNetwork(size=size, channels=channels, n_conditions=2, n_latents=4, width=8)
    images = torch.rand(2, channels, size, size)
    assert network(images, torch.eye(2))[0].shape == images.shape
    assert vae_loss(network, images, torch.eye(2)).shape == (2,)


def test_an_image_of_a_batch_does_not_feel_the_others(cohort: ImageSet) -> None:
    network = VaeNetwork(size=16, channels=1, n_conditions=2, n_latents=4, width=8)
    images, conditions = torch.rand(3, 1, 16, 16), torch.eye(2)[[0, 1, 0]]
    together, alone = network.encode(images, conditions)[0], network.encode(images[:1], conditions[:1])[0]
    assert torch.allclose(together[:1], alone, atol=1e-5)


def test_labels_that_nobody_bears_can_be_drawn(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    images = replace(cohort, label=np.array(["normal"] * len(cohort)), sex=None)
    config = CONFIG | {"labels": "normal,nodule"}
    train_generator(name="vae", images=images, budget=BUDGET, config=config, out=tmp_path / "g", public=public)
    assert len(sample_generator(tmp_path / "g", [CellCount(label="nodule", n=2)])) == 2
