"""`mean-embedding`: what one person can change, what the released embedding says, and what repeats."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generators.base import CellCount
from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.folder import load_tensors
from generators.networks.tensors import one_hot
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.releases.embedding import Words, draw_features, embedding_of, noisy_sums, subject_sums
from generators.runner import sample_generator, train_generator
from generators.steps_log import read_log, spent_from_log

BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=50)
CONFIG = {"n_components": 6, "n_frequencies": 20, "public_steps": 2, "n_steps": 3, "width": 8}


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=4).images


@pytest.fixture(scope="module")
def public() -> ImageSet:
    return draw_phantoms(n_subjects=40, size=16, seed=9, max_images=1).images


def sums(images: ImageSet, words: Words, latents: torch.Tensor) -> np.ndarray:
    features = draw_features(np.eye(6), n_frequencies=30, width=1.0, seed=0)
    return subject_sums(images, one_hot(words.vocabulary, words.vocabulary.numbers(images)), features(latents), words)


@pytest.mark.parametrize("columns", ["label", "label sex", "label sex age_group"])
@pytest.mark.parametrize("n_images", [1, 2, 7, 20])
def test_a_person_changes_the_sums_by_at_most_the_sensitivity(n_images: int, columns: str, cohort: ImageSet) -> None:
    """However far out the images lie, however many there are and whatever labels they bear."""
    dropped = {name: None for name in ("sex", "age_group") if name not in columns}
    person = replace(cohort.select(np.arange(n_images)), subject=np.array(["one"] * n_images), **dropped)
    words = Words(vocabulary=Vocabulary.of(replace(cohort, **dropped)), count_weight=0.3, group_weight=0.5)
    for scale in (0.0, 1.0, 1e6):
        contribution = sums(person, words, scale * torch.randn(n_images, 6))
        assert np.linalg.norm(contribution) <= words.sensitivity * (1 + 1e-6)
    same = sums(replace(person.select(np.zeros(n_images, dtype=np.intp))), words, torch.ones(n_images, 6))
    assert np.linalg.norm(same) == pytest.approx(words.sensitivity, rel=1e-4)


def test_the_noise_has_the_size_that_was_charged(cohort: ImageSet) -> None:
    words = Words(vocabulary=Vocabulary.of(cohort), count_weight=0.3, group_weight=0.5)
    noise = noisy_sums(np.zeros((100, 100)), words, 2.0)
    assert noise.std() == pytest.approx(2.0 * words.sensitivity, rel=0.05)


def test_without_noise_the_embedding_is_the_mean_over_people(cohort: ImageSet) -> None:
    one_each = cohort.select(np.unique(cohort.subjects(), return_index=True)[1])
    words = Words(vocabulary=Vocabulary.of(cohort), count_weight=0.3, group_weight=0.5)
    latents = torch.randn(len(one_each), 6)
    conditions = one_hot(words.vocabulary, words.vocabulary.numbers(one_each))
    found = embedding_of(sums(one_each, words, latents), words)
    features = draw_features(np.eye(6), n_frequencies=30, width=1.0, seed=0)(latents)
    assert torch.allclose(found.shares, conditions.mean(0), atol=1e-6)
    borne = conditions[:, 0] > 0
    assert torch.allclose(found.means[0], features[borne].mean(0), atol=1e-5)


def test_frequencies_repeat_by_seed_and_owe_nothing_to_private_images(
    cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    half = cohort.select(np.arange(0, len(cohort), 2))
    bases = []
    for name, images in (("a", cohort), ("b", half)):
        train_generator(
            name="mean-embedding", images=images, budget=BUDGET, config=CONFIG, out=tmp_path / name, public=public
        )
        bases.append(load_tensors(tmp_path / name / "basis.safetensors"))
    assert all(np.array_equal(bases[0][key], bases[1][key]) for key in bases[0])


def test_one_release_is_charged_and_a_resumed_run_pays_nothing_more(
    cohort: ImageSet, public: ImageSet, tmp_path: Path
) -> None:
    call = {"name": "mean-embedding", "images": cohort, "budget": BUDGET, "config": CONFIG, "public": public}
    card = train_generator(**call, out=tmp_path / "g", seed=2)
    assert sum(event.steps for event in card.spend.events) == 1
    assert 7.9 < card.spend.spent_epsilon <= 8
    network = load_tensors(tmp_path / "g" / "network.safetensors")
    # As if killed after the release: the network is fitted again, from the release alone and to the same weights.
    (tmp_path / "g" / "network.safetensors").unlink()
    (tmp_path / "g" / "generator.json").unlink()
    assert train_generator(**call, out=tmp_path / "g", seed=2, resume=True).spend == card.spend
    again = load_tensors(tmp_path / "g" / "network.safetensors")
    assert all(np.array_equal(network[key], again[key]) for key in network)


def test_a_lost_release_stays_charged(cohort: ImageSet, public: ImageSet, tmp_path: Path) -> None:
    call = {"name": "mean-embedding", "images": cohort, "config": CONFIG, "public": public, "out": tmp_path}
    train_generator(**call, budget=BUDGET)
    for name in ("release.safetensors", "generator.json"):
        (tmp_path / name).unlink()
    card = train_generator(**call, budget=replace(BUDGET, target_epsilon=16), resume=True)
    assert sum(event.steps for event in card.spend.events) == 2
    assert 8 < card.spend.spent_epsilon <= 16
    assert spent_from_log(tmp_path) == card.spend
    assert (logged := read_log(tmp_path)) is not None
    assert logged.by_phase["embedding"] == 2


def test_colour_images_need_a_public_set_and_get_their_colours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 40
    colour = np.repeat(rng.integers(0, 255, (n, 1, 1, 3)), 16, axis=1).repeat(16, axis=2).astype(np.uint8)
    images = ImageSet(images=colour, label=np.where(np.arange(n) % 2, "a", "b"), subject=np.arange(n).astype(str))
    train_generator(
        name="mean-embedding", images=images, budget=BUDGET, config=CONFIG, out=tmp_path / "g", public=images
    )
    drawn = sample_generator(tmp_path / "g", [CellCount(label="a", n=3)])
    assert drawn.images.shape == (3, 16, 16, 3)
