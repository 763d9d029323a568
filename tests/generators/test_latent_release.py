from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.conditions import Vocabulary
from generators.latent.basis import clip_norms
from generators.latent.design import Design
from generators.latent.fit import Prior, extended_covariance, fit_covariance, widening
from generators.latent.release import (
    FEWEST_SUBJECTS,
    PHASES,
    Bounds,
    PrivateLatents,
    Shares,
    exact_design,
    exact_label_moments,
    exact_moments,
    exact_sums,
    planned_events,
    release,
)
from generators.secure_random import secure_normal, secure_symmetric_normal
from tests.generators.recorders import Recorder

VOCABULARY = Vocabulary(labels=("a", "b", "c"), sexes=("F", "M"), age_groups=("0-17", "18-39", "40-64", "65+"))
DESIGN = Design(vocabulary=VOCABULARY, group_weight=0.4)
RADIUS, RESIDUAL_RADIUS, SIZE = 2.0, 1.5, 5
SHARES = Shares(counts=0.1, sums=0.3, moments=0.3, label_moments=0.1, discriminant=0.2)
LABEL_RADIUS = 0.8
# Public centres that lie far from the latents: what is clipped are the distances to them.
CENTRES = np.random.default_rng(9).normal(size=(3, SIZE)) * 5


def bounds(leading: list[int]) -> Bounds:
    return Bounds(
        radius=RADIUS,
        residual_radius=RESIDUAL_RADIUS,
        leading=np.array(leading, dtype=np.intp),
        spread=np.ones(max(SIZE, len(leading))),
        public_n_subjects=20,
        label_radius=LABEL_RADIUS,
        of_labels=np.array(leading[:2], dtype=np.intp),
    )


def person(rng: np.random.Generator, n_images: int) -> PrivateLatents:
    """One subject whose images lie far outside the radius and bear any labels and groups."""
    numbers = np.stack([rng.integers(0, 3, n_images), rng.integers(-1, 2, n_images), rng.integers(-1, 4, n_images)], 1)
    latents = rng.normal(size=(n_images, SIZE)) * rng.choice([0.1, 100.0])
    return PrivateLatents(
        latents=latents, rows=DESIGN.rows(numbers), subjects=np.repeat("p", n_images), centres=CENTRES
    )


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n_images=st.integers(1, 20))
def test_one_person_moves_each_statistic_by_at_most_its_sensitivity(seed: int, n_images: int) -> None:
    rng = np.random.default_rng(seed)
    data, effects = person(rng, n_images), rng.normal(size=(DESIGN.size, SIZE)) * 3
    tolerance = 1 + 1e-9
    assert np.linalg.norm(exact_design(data)) <= DESIGN.norm**2 * tolerance
    assert np.linalg.norm(exact_sums(data, RADIUS)) <= DESIGN.norm * RADIUS * tolerance
    moments = exact_moments(data, effects, bounds=bounds([0, 1, 3]))
    assert moments.shape == (3, 3)
    assert np.linalg.norm(moments) <= RESIDUAL_RADIUS**2 * tolerance
    of_labels = exact_label_moments(data, effects, bounds=bounds([0, 1, 3]))
    assert of_labels.shape == (3, 2, 2)
    assert np.linalg.norm(of_labels) <= LABEL_RADIUS**2 * tolerance


def test_copies_of_a_persons_images_change_nothing() -> None:
    data = person(np.random.default_rng(1), 3)
    twice = PrivateLatents(
        latents=np.tile(data.latents, (2, 1)),
        rows=np.tile(data.rows, (2, 1)),
        subjects=np.tile(data.subjects, 2),
        centres=CENTRES,
    )
    effects = np.zeros((DESIGN.size, SIZE))
    own, copied = (exact_label_moments(each, effects, bounds=bounds([0, 1, 3])) for each in (data, twice))
    assert np.allclose(own, copied)
    assert np.allclose(exact_sums(data, RADIUS), exact_sums(twice, RADIUS))
    assert np.allclose(exact_design(data), exact_design(twice))


def test_shares_of_two_labels_sum_to_one_person() -> None:
    rows = DESIGN.rows(np.array([[0, -1, -1], [1, -1, -1]]))
    data = PrivateLatents(latents=np.ones((2, SIZE)), rows=rows, subjects=np.array(["p", "p"]), centres=CENTRES)
    assert np.diag(exact_design(data))[:3].tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("noise_multiplier", [0.6, 3.0])
def test_all_releases_cost_one_mechanism(noise_multiplier: float) -> None:
    events = planned_events(noise_multiplier, SHARES)
    assert sum(event.noise_multiplier**-2 for event in events) == pytest.approx(noise_multiplier**-2)


def test_the_noise_of_each_part_is_its_sensitivity_times_the_multiplier() -> None:
    empty = PrivateLatents(
        latents=np.zeros((0, 120)),
        rows=np.zeros((0, DESIGN.size)),
        subjects=np.array([], dtype=np.str_),
        centres=np.zeros((3, 120)),
    )
    noisy = release(
        empty,
        design=DESIGN,
        bounds=bounds(list(range(120))),
        noise_multiplier=0.7,
        shares=SHARES,
        recorder=Recorder(),
    )
    assert noisy.sums.std() == pytest.approx(0.7 * DESIGN.norm * RADIUS / np.sqrt(0.3), rel=0.15)
    assert np.diag(noisy.moments).std() == pytest.approx(0.7 * RESIDUAL_RADIUS**2 / np.sqrt(0.3), rel=0.45)
    upper = noisy.moments[np.triu_indices(120, 1)]
    assert upper.std() == pytest.approx(0.7 * RESIDUAL_RADIUS**2 / np.sqrt(0.3) / np.sqrt(2), rel=0.1)


def test_each_record_precedes_its_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    recorded_at_draw = []
    import generators.latent.discriminant as descent
    import generators.latent.release as module

    real = secure_normal

    def watched(shape: tuple[int, ...], std: float = 1.0) -> object:
        recorded_at_draw.append(len(recorder.steps))
        return real(shape, std)

    real_symmetric = secure_symmetric_normal

    def watched_symmetric(size: int, std: float) -> object:
        recorded_at_draw.append(len(recorder.steps))
        return real_symmetric(size, std)

    monkeypatch.setattr(module, "secure_normal", watched)
    monkeypatch.setattr(descent, "secure_normal", watched)
    monkeypatch.setattr(module, "secure_symmetric_normal", watched_symmetric)
    release(
        person(np.random.default_rng(0), 2),
        design=DESIGN,
        bounds=bounds([0, 1, 2]),
        noise_multiplier=1.0,
        shares=SHARES,
        recorder=recorder,
    )
    assert recorded_at_draw[:6] == [1, 1, 2, 3, 3, 3]
    assert set(recorded_at_draw[6:]) == {4}
    assert tuple(step.phase for step in recorder.steps) == PHASES
    assert tuple(step.noise_multiplier for step in recorder.steps) == tuple(
        event.noise_multiplier for event in planned_events(1.0, SHARES)
    )


def test_subjects_are_counted_by_their_labels_and_never_as_nobody() -> None:
    noisy = release(
        person(np.random.default_rng(0), 3),
        design=DESIGN,
        bounds=bounds([0, 1, 2]),
        noise_multiplier=0.0,
        shares=SHARES,
        recorder=Recorder(),
    )
    counts = np.diag([30.0, 20.0, -5.0, *[9.0] * (DESIGN.size - 3)])
    assert replace(noisy, design=counts).n_subjects == 45.0
    assert replace(noisy, design=-counts).n_subjects == noisy.n_subjects == FEWEST_SUBJECTS


def test_the_noise_of_label_moments_is_their_sensitivity_times_the_multiplier() -> None:
    several = replace(bounds(list(range(60))), of_labels=np.arange(60), label_radius=LABEL_RADIUS)
    nobody = PrivateLatents(
        latents=np.zeros((0, 60)),
        rows=np.zeros((0, DESIGN.size)),
        subjects=np.array([], dtype=np.str_),
        centres=np.zeros((3, 60)),
    )
    noisy = release(
        nobody, design=DESIGN, bounds=several, noise_multiplier=0.7, shares=SHARES, recorder=Recorder()
    ).label_moments
    wanted = 0.7 * LABEL_RADIUS**2 / np.sqrt(0.1)
    assert np.diagonal(noisy, axis1=1, axis2=2).std() == pytest.approx(wanted, rel=0.25)
    assert noisy[:, *np.triu_indices(60, 1)].std() == pytest.approx(wanted / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("shrink", [True, False])
@pytest.mark.parametrize("least", [0.0, 0.2])
def test_a_noisy_covariance_is_made_positive_at_its_trace(shrink: bool, least: float) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(20, 20)) * 30
    moments = 100 * np.diag(np.linspace(0.1, 2, 20)) + (noise + noise.T) / 2
    covariance = fit_covariance(moments, n=100, noise=30, shrink=shrink, target=np.eye(20), least=least)
    assert np.linalg.eigvalsh(covariance).min() > 0.8 * least
    assert np.trace(covariance) == pytest.approx(np.trace(moments) / 100)


def test_drowned_moments_give_way_to_public_correlations() -> None:
    target = np.array([[1.0, 0.8], [0.8, 1.0]])
    covariance = fit_covariance(np.eye(2) * 50, n=100, noise=1e6, shrink=True, target=target, least=0.0)
    assert np.allclose(covariance, target / 2)


def test_latents_without_released_moments_follow_the_others() -> None:
    target = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]])
    leading = np.array([0, 2], dtype=np.intp)
    same = extended_covariance(np.diag([1.0, 1.0]), target, leading)
    assert np.allclose(same, target)
    wider = extended_covariance(np.diag([1.5, 0.5]), target, leading)
    assert wider[0, 1] == pytest.approx(1.5 * 0.8)
    assert np.linalg.eigvalsh(wider).min() > 0


def test_what_clipping_narrowed_is_widened() -> None:
    """Residuals are clipped as a release clips them; the deviation found from what is left is theirs before."""
    leading, means, deviation = np.arange(30), np.zeros((2, 40)), 1.3
    rng = np.random.default_rng(4)
    residuals = rng.normal(size=(4000, 40)) * deviation
    clipped = clip_norms(clip_norms(residuals, 8.5)[:, leading], 6.0)
    narrowed = np.eye(40) * float(np.mean(clipped**2))
    prior = Prior(spread=np.ones(40), centres=np.zeros((2, 40)), covariance=np.eye(40), radius=8.5, residual_radius=6.0)
    assert np.sqrt(narrowed[0, 0]) < 0.9 * deviation
    found = np.sqrt(narrowed[0, 0]) * widening(narrowed, means, leading, prior)
    assert found == pytest.approx(deviation, rel=0.05)
    loose = Prior(spread=np.ones(40), centres=np.zeros((2, 40)), covariance=np.eye(40), radius=1e3, residual_radius=1e3)
    assert widening(np.eye(40), means, leading, loose) < 1.05
