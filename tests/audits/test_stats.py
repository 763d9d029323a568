"""Intervals hold what they promise: coverage by simulation, values against published or exact ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as reference

from audits.stats import (
    auc,
    auc_interval,
    auc_p_value,
    clopper_pearson,
    dealt_p_value,
    excess_rate,
    half_sample_errors,
    holm,
    percentile_interval,
    resampled_subjects,
    rows_by_subject,
)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 20), (7, 20), (20, 20)])
def test_clopper_pearson_equals_the_reference(k: int, n: int) -> None:
    exact = reference.binomtest(k, n).proportion_ci(method="exact")
    assert clopper_pearson(k, n) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5])
def test_clopper_pearson_covers(p: float) -> None:
    n = 60
    limits = [clopper_pearson(k, n) for k in range(n + 1)]
    covered = sum(reference.binom.pmf(k, n, p) for k, (low, high) in enumerate(limits) if low <= p <= high)
    assert covered >= 0.95


@pytest.mark.parametrize(("p", "base"), [(0.01, 0.01), (0.1, 0.01), (0.5, 0.2)])
def test_the_interval_of_an_excess_covers(p: float, base: float) -> None:
    rng = np.random.default_rng(0)
    draws = zip(rng.binomial(300, p, 400), rng.binomial(100, base, 400), strict=True)
    limits = [excess_rate(int(k), 300, int(b), 100)[1:] for k, b in draws]
    assert np.mean([low <= p - base <= high for low, high in limits]) >= 0.94


def test_auc_equals_the_mann_whitney_statistic() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 9, 40).astype(float), rng.integers(0, 7, 30).astype(float)
    expected = reference.mannwhitneyu(left, right).statistic / (40 * 30)
    assert auc(left, right) == pytest.approx(expected)


@pytest.mark.parametrize(("shift", "n_left", "n_right"), [(0.0, 60, 60), (0.0, 300, 60), (1.0, 60, 60), (3.0, 60, 60)])
def test_the_auc_interval_covers(shift: float, n_left: int, n_right: int) -> None:
    truth = reference.norm.cdf(shift / np.sqrt(2))
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        value = auc(rng.normal(shift, 1, n_left), rng.normal(0, 1, n_right))
        low, high = auc_interval(value, n_left, n_right)
        covered += low <= truth <= high
    assert covered / 400 >= 0.93


def test_a_perfect_auc_keeps_an_interval() -> None:
    low, high = auc_interval(1.0, 50, 50)
    assert 0.9 < low < 1
    assert high == 1


def test_a_bootstrap_draws_whole_subjects() -> None:
    subjects = np.array(["a", "b", "a", "c", "b", "a"])
    for rows in resampled_subjects(subjects, n_draws=20, seed=0):
        drawn, counts = np.unique(subjects[rows], return_counts=True)
        size = {"a": 3, "b": 2, "c": 1}
        assert all(count % size[name] == 0 for name, count in zip(drawn, counts, strict=True))


def test_the_bootstrap_by_subject_covers_where_images_of_a_person_agree() -> None:
    rng = np.random.default_rng(3)
    subjects = np.repeat(np.arange(60).astype(str), 5)
    covered = 0
    for seed in range(150):
        values = np.repeat(rng.normal(0, 1, 60), 5) + rng.normal(0, 0.1, 300)
        draws = [float(values[rows].mean()) for rows in resampled_subjects(subjects, n_draws=100, seed=seed)]
        low, high = percentile_interval(draws)
        covered += low <= 0 <= high
    assert covered / 150 >= 0.87


@pytest.mark.parametrize("kept", [0.5, 0.8])
def test_leaving_people_out_gives_the_error_of_a_mean(kept: float) -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    names = np.arange(400).astype(str)
    found = half_sample_errors(
        lambda left, _: {"mean": float(values[left].mean())}, names, names, n_draws=400, seed=0, kept=kept
    )
    assert found["mean"] == pytest.approx(values.std() / 20, rel=0.15)


def test_rows_by_subject_partition_the_rows() -> None:
    rows = rows_by_subject(np.array(["b", "a", "b"]))
    assert [part.tolist() for part in rows] == [[1], [0, 2]]


@pytest.mark.parametrize(("n_left", "n_right"), [(60, 60), (300, 60), (1000, 100)])
@pytest.mark.parametrize("value", [0.2, 0.5, 0.53, 0.56, 0.62, 0.99])
def test_the_p_value_of_an_auc_agrees_with_its_interval(value: float, n_left: int, n_right: int) -> None:
    low, _ = auc_interval(value, n_left, n_right)
    assert (auc_p_value(value, n_left, n_right) < 0.025) == (low > 0.5)


def test_holm_equals_the_published_steps_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == pytest.approx([1, 1])
    assert holm([]) == []


def test_holm_accuses_an_innocent_family_no_more_often_than_its_level() -> None:
    rng = np.random.default_rng(0)
    accused = sum(min(holm(list(rng.random(6)))) <= 0.05 for _ in range(4000))
    assert clopper_pearson(accused, 4000)[0] <= 0.05


def test_a_deal_of_names_accuses_an_innocent_set_as_often_as_its_level_says() -> None:
    rng = np.random.default_rng(5)
    members = np.arange(40) < 20
    scores = rng.normal(size=(300, 40))

    def p_value(i: int) -> float:
        return dealt_p_value(lambda who: float(scores[i, who].mean()), members, n_draws=99, seed=i)

    p_values = [p_value(i) for i in range(300)]
    accused = sum(p <= 0.05 for p in p_values)
    assert clopper_pearson(accused, 300, confidence=0.99)[0] <= 0.05
    assert 0.4 < float(np.mean(p_values)) < 0.6


def test_a_deal_of_names_finds_members_that_stand_apart_and_never_says_impossible() -> None:
    members = np.arange(40) < 20
    assert dealt_p_value(lambda who: float(members[who].sum()), members, n_draws=99, seed=0) == 1 / 100
