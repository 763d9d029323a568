"""The audit in one run: bounds against known values, and a training run with canaries, broken and not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from audits.base import Status
from audits.claims.one_run import DIRAC, Guessed, audit_one_run, mu_of
from audits.claims.one_run_bounds import (
    best_guesses,
    ceilings,
    gaussian_bound,
    gaussian_refuted,
    steinke_bound,
    steinke_p_value,
)
from audits.claims.one_run_measure import _verdict
from audits.claims.record import Part
from generators.accounting import gaussian_epsilon
from generators.phantoms import draw_phantoms
from generators.training import PrivateSettings
from tests.audits.broken_trainers import noise_times

ALPHA, DELTA = 0.05, 1e-5


def test_without_delta_the_bound_is_that_of_randomised_response() -> None:
    # All of r guesses right: (e^eps / (1 + e^eps))^r = alpha.
    right = ALPHA ** (1 / 50)
    assert steinke_bound(200, 50, 50, delta=0.0, alpha=ALPHA) == pytest.approx(math.log(right / (1 - right)), rel=1e-6)
    assert steinke_p_value(200, 50, 40, epsilon=1.0, delta=0.0) == pytest.approx(
        stats.binom.sf(39, 50, 1 / (1 + math.exp(-1)))
    )


def test_delta_only_weakens_the_bound_and_guessing_at_chance_shows_nothing() -> None:
    assert steinke_bound(500, 100, 95, delta=DELTA, alpha=ALPHA) < steinke_bound(500, 100, 95, delta=0.0, alpha=ALPHA)
    assert steinke_bound(500, 100, 50, delta=DELTA, alpha=ALPHA) == 0
    assert gaussian_bound(500, 100, 50, alpha=ALPHA) == 0


def test_mu_and_epsilon_are_inverse() -> None:
    assert gaussian_epsilon(mu_of(8.0, DELTA), DELTA) == pytest.approx(8.0, rel=1e-6)


@pytest.mark.parametrize(("m", "mu"), [(200, 1.4), (1000, 0.5)])
def test_a_gaussian_mechanism_is_refuted_no_more_than_the_level_allows(m: int, mu: float) -> None:
    rng = np.random.default_rng(0)
    n_refuted, bounds = 0, []
    r = best_guesses(m, mu=mu, delta=DELTA, alpha=ALPHA)
    for _ in range(100):
        there = rng.random(m) < 0.5
        order = np.argsort(-(rng.standard_normal(m) + mu * there))
        v = int(there[order[: r // 2]].sum() + (~there[order[m - r // 2 :]]).sum())
        n_refuted += gaussian_refuted(m, r, v, mu=mu, alpha=ALPHA)
        bounds.append(v)
    assert stats.binom.sf(n_refuted - 1, 100, ALPHA) > 1e-4
    assert gaussian_bound(m, r, int(np.median(bounds)), alpha=ALPHA) > 0.2 * mu


def test_more_canaries_raise_the_ceilings_and_few_have_no_power() -> None:
    few, many = (ceilings(m, m // 5, delta=DELTA, alpha=ALPHA) for m in (50, 1000))
    assert few[0] < many[0]
    assert few[1] < many[1]
    all_right = Guessed.of(np.arange(50.0), np.arange(50) >= 25, r=10, delta=DELTA, alpha=ALPHA)
    assert all_right.v == 10
    assert _verdict(all_right, epsilon=8.0, delta=DELTA)[0] is Status.NO_POWER


def guess(noise: float) -> Guessed:
    """Dirac canaries of one run whose true noise is `noise` times the claimed one."""
    images = draw_phantoms(n_subjects=20, size=16, seed=3, max_images=1).images
    found = audit_one_run(
        images,
        Part(phase="train", noise_multiplier=1.6, sample_rate=0.5, steps=6),
        PrivateSettings(max_grad_norm=1.0, learning_rate=1e-2, views=1),
        epsilon=5.0,
        delta=DELTA,
        n_canaries=100,
        alpha=ALPHA,
        seed=0,
        trainer=noise_times(noise),
    )
    return found[DIRAC]


def test_a_training_run_without_noise_is_falsified_and_a_correct_one_is_not() -> None:
    correct, broken = guess(1.0), guess(0.0)
    assert _verdict(correct, epsilon=8.0, delta=DELTA)[0] is not Status.DETECTED
    # One who was there and never drawn, 1 in 64, cannot be told from one who was not.
    assert broken.v >= 0.9 * broken.r
    assert _verdict(broken, epsilon=1.0, delta=DELTA)[0] is Status.DETECTED
