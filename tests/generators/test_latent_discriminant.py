"""The noisy classifier: one clipped gradient a person, a plan from public numbers, a covariance that agrees with it."""

import numpy as np
import pytest

from generators.latent.discriminant import (
    LONGEST_DESCENT,
    MAX_GRAD_NORM,
    Descent,
    agreeing_covariance,
    descend,
    subject_gradients,
)
from generators.latent.fit import agreeing_means, draw_residuals
from generators.privacy import GaussianEvent

N_LABELS, SIZE = 3, 6


def people(n: int, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, N_LABELS, n), each)
    centres = np.eye(N_LABELS, SIZE) * 2
    latents = centres[labels] + rng.normal(size=(n * each, SIZE))
    return latents, labels, np.repeat(np.arange(n), each).astype(str)


@pytest.mark.parametrize("each", [1, 4, 20])
def test_a_persons_gradient_is_bounded_whatever_they_bring(each: int) -> None:
    latents, labels, subjects = people(5, each)
    labels = np.arange(len(labels)) % N_LABELS
    gradients = subject_gradients(np.ones((SIZE, N_LABELS)), latents * 1e3, labels, subjects, bound=MAX_GRAD_NORM)
    assert gradients.shape == (5, SIZE * N_LABELS)
    assert np.linalg.norm(gradients, axis=1).max() <= MAX_GRAD_NORM * (1 + 1e-9)


def test_a_gradient_is_the_mean_over_a_persons_images() -> None:
    latents, labels, _ = people(1, 4)
    weights = np.random.default_rng(2).normal(size=(SIZE, N_LABELS))
    together = subject_gradients(weights, latents, labels, np.repeat("p", 4), bound=1e9)
    apart = subject_gradients(weights, latents, labels, np.arange(4).astype(str), bound=1e9)
    assert np.allclose(together[0], apart.mean(axis=0))


def test_the_steps_of_a_descent_cost_its_event() -> None:
    event = GaussianEvent(noise_multiplier=0.9, sample_rate=1.0, steps=1)
    plan = Descent.planned(event, n_latents=100, n_labels=2, public_n_subjects=450)
    assert plan.n_steps / plan.noise_multiplier**2 == pytest.approx(event.noise_multiplier**-2)


def test_more_noise_makes_a_shorter_descent() -> None:
    lengths = []
    for noise in (0.01, 2.0, 8.0):
        event = GaussianEvent(noise_multiplier=noise, sample_rate=1.0, steps=1)
        plan = Descent.planned(event, n_latents=100, n_labels=2, public_n_subjects=450)
        lengths.append(plan.n_steps * plan.step_size * 2)
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == pytest.approx(LONGEST_DESCENT)


def test_a_descent_without_much_noise_tells_labels_apart() -> None:
    latents, labels, subjects = people(150, 2)
    event = GaussianEvent(noise_multiplier=1e-3, sample_rate=1.0, steps=1)
    plan = Descent.planned(event, n_latents=SIZE, n_labels=N_LABELS, public_n_subjects=150)
    weights = descend(latents, labels, subjects, plan=plan, n_labels=N_LABELS, public_n_subjects=150)
    assert weights.shape == (SIZE, N_LABELS)
    assert np.mean((latents @ weights).argmax(axis=1) == labels) > 0.8


@pytest.mark.parametrize("n_labels", [2, 3])
def test_fishers_discriminant_of_an_agreeing_covariance_is_the_classifier(n_labels: int) -> None:
    rng = np.random.default_rng(3)
    root = rng.normal(size=(SIZE, SIZE))
    truth, assumed = root @ root.T + np.eye(SIZE), np.eye(SIZE)
    means = rng.normal(size=(n_labels, SIZE))
    means -= means.mean(axis=0)
    weights = np.asarray(np.linalg.solve(truth, means.T), dtype=np.float64)
    changed = agreeing_covariance(assumed, means, weights)
    assert np.linalg.eigvalsh(changed).min() > -1e-9
    found = np.linalg.solve(changed, means.T)
    cosines = np.sum(found * weights, axis=0) / np.linalg.norm(found, axis=0) / np.linalg.norm(weights, axis=0)
    assert cosines.min() > 0.999


def test_a_classifier_of_noise_alone_leaves_the_covariance() -> None:
    means = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert np.array_equal(agreeing_covariance(np.eye(2), means, -means.T), np.eye(2))


def test_means_lean_on_the_classifier_as_noise_grows() -> None:
    means = np.array([[1.0, 0.3], [-1.0, -0.3]])
    weights = np.array([[1.0, -1.0], [0.0, 0.0]])
    sharp, drowned = (agreeing_means(np.eye(2), means, weights, noise=noise) for noise in (0.0, 1e6))
    assert np.allclose(sharp, means)
    assert np.allclose(drowned, [[1.0, 0.0], [-1.0, 0.0]], atol=1e-6)


def test_residuals_have_the_covariance_exactly_where_enough_are_drawn() -> None:
    covariances = np.array([[[2.0, 0.5], [0.5, 1.0]], np.eye(2)])
    groups = np.array([0] * 40 + [1] * 3)
    drawn = draw_residuals(covariances, groups, np.random.default_rng(0))
    assert np.allclose(drawn[:40].T @ drawn[:40] / 40, covariances[0])
    assert np.allclose(drawn[:40].mean(axis=0), 0)
    assert np.abs(drawn[40:]).max() < 10
