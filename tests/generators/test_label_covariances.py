"""What is known of each label beside what all share: centres, offsets, covariances."""

import numpy as np
import pytest

from generators.conditions import Vocabulary
from generators.latent.centres import FEWEST, public_centres, radius_around
from generators.latent.design import Design
from generators.latent.effects import fit_effects
from generators.latent.label_covariances import label_covariances
from generators.latent.matrices import replaced
from generators.latent.settings import LatentStatisticsConfig, affordable

PLACES = np.array([0, 2], dtype=np.intp)
SHARED = np.array([[1.0, 0.4, 0.0, 0.2], [0.4, 1.0, 0.3, 0.0], [0.0, 0.3, 1.0, 0.1], [0.2, 0.0, 0.1, 1.0]])


def moments_of(covariances: list[np.ndarray], n: float) -> np.ndarray:
    return np.stack([n * covariance[np.ix_(PLACES, PLACES)] for covariance in covariances])


def test_a_label_keeps_its_own_covariance_where_noise_is_small() -> None:
    wide, narrow = np.diag([1.6, 1.0, 0.5, 1.0]), np.diag([0.4, 1.0, 1.5, 1.0])
    found = label_covariances(np.eye(4), moments_of([wide, narrow], 1e6), PLACES, np.full(2, 1e6), noise=1.0)
    assert np.allclose(found, [wide, narrow], atol=0.02)


@pytest.mark.parametrize("noise", [1e4, 1e8])
def test_noise_leaves_the_shared_covariance(noise: float) -> None:
    drawn = np.random.default_rng(0).normal(size=(2, 2, 2)) * noise
    found = label_covariances(SHARED, drawn + drawn.transpose(0, 2, 1), PLACES, np.full(2, 100.0), noise=2 * noise)
    assert np.allclose(found, SHARED, atol=0.75)
    assert np.linalg.eigvalsh(found).min() > 0


def test_an_empty_label_has_a_covariance_that_can_be_drawn_from() -> None:
    moments = moments_of([np.eye(4), np.eye(4)], 200.0) * np.array([1.0, 0.0])[:, None, None] - 3 * np.eye(2)
    found = label_covariances(SHARED, moments, PLACES, np.array([200.0, 0.0]), noise=5.0)
    assert np.linalg.eigvalsh(found).min() > 0


def test_other_latents_follow_by_regression() -> None:
    block = np.array([[2.0, 0.0], [0.0, 0.5]])
    whole = replaced(SHARED, block, PLACES)
    assert np.allclose(whole[np.ix_(PLACES, PLACES)], block)
    assert np.allclose(replaced(whole, SHARED[np.ix_(PLACES, PLACES)], PLACES), SHARED)


def test_centres_are_the_public_means_of_labels() -> None:
    latents = np.vstack([np.full((FEWEST, 2), 1.0), np.full((FEWEST, 2), 5.0), [[9.0, 9.0]]])
    label = np.array(["a"] * FEWEST + ["b"] * FEWEST + ["c"])
    centres = public_centres(latents, label, ("b", "c", "unseen"))
    assert centres is not None
    assert np.allclose(centres[0], 5.0)
    assert np.allclose(centres[1:], latents.mean(axis=0))  # one image says too little
    assert public_centres(latents, label, ("unseen",)) is None
    assert public_centres(latents, None, ("a",)) is None


def test_the_radius_around_centres_is_smaller_than_around_all() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat(["a", "b"], 50)
    latents = rng.normal(size=(100, 3)) * 0.1 + np.where(label == "a", -4.0, 4.0)[:, None]
    centres = public_centres(latents, label, ("a", "b"))
    assert centres is not None
    assert radius_around(latents, label, ("a", "b"), centres, quantile=0.9) < 1.0


def test_an_empty_label_leans_on_the_offset_that_the_others_share() -> None:
    """Private images that all lie beside the public ones, wherever their label lies."""
    design = Design(vocabulary=Vocabulary(labels=("a", "b", "c"), sexes=(), age_groups=()), group_weight=0.4)
    offset = np.array([1.0, -0.5, 0.8, 0.0, 1.2])
    counted = np.diag([200.0, 200.0, 0.0])
    summed = np.stack([200 * offset, 200 * offset, 0 * offset])
    effects = fit_effects(counted, summed, sums_noise=3.0, design=design, spread=np.ones(5))
    assert np.allclose(effects[:2], offset, atol=0.05)
    assert np.allclose(effects[2], offset * 2 / 3, atol=0.05)


def test_unlike_offsets_are_kept_apart() -> None:
    design = Design(vocabulary=Vocabulary(labels=("a", "b", "c"), sexes=(), age_groups=()), group_weight=0.4)
    own = np.random.default_rng(0).normal(size=(2, 40))
    summed = np.vstack([2000 * own, np.zeros((1, 40))])
    effects = fit_effects(
        np.diag([2000.0, 2000.0, 0.0]), summed, sums_noise=3.0, design=design, spread=np.ones(summed.shape[1])
    )
    assert np.abs(effects[:2] - own).max() < 0.05
    assert np.linalg.norm(effects[2]) < 0.8 * np.linalg.norm(own.mean(axis=0))


@pytest.mark.parametrize(
    ("n_labels", "noise_multiplier", "n_subjects", "own"),
    [
        pytest.param(10, 0.6, 1200, True, id="ten labels, little noise"),
        pytest.param(10, 4.0, 1200, False, id="ten labels, much noise"),
        pytest.param(2, 0.6, 1200, False, id="two labels have a classifier"),
    ],
)
def test_covariances_of_labels_are_asked_for_where_noise_leaves_them(
    n_labels: int, noise_multiplier: float, n_subjects: int, own: bool
) -> None:
    shares, n_latents = affordable(LatentStatisticsConfig(), n_labels, noise_multiplier, n_subjects, 64)
    assert (shares.label_moments > 0, n_latents > 0) == (own, own)
    assert 0 <= n_latents <= 32


def test_a_latent_that_hardly_varies_in_public_takes_little_of_the_noise() -> None:
    design = Design(vocabulary=Vocabulary(labels=("a", "b"), sexes=(), age_groups=()), group_weight=0.4)
    noise = np.random.default_rng(1).normal(size=(2, 60)) * 40
    spread = np.repeat([2.0, 0.05], 30)
    effects = fit_effects(np.diag([100.0, 100.0]), noise, sums_noise=40.0, design=design, spread=spread)
    assert np.abs(effects[:, 30:]).max() < 0.05
