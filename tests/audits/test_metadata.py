"""Attacks on the released words: tables that give people away are found, tables that do not are not accused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from audits.base import AuditInput, Measurement
from audits.metadata.guesses import Excess, guesses_on
from audits.metadata.risk import LEVEL
from audits.metadata.tables import People, words_of
from audits.privacy.linkability import link_rates, split_columns
from audits.registry import list_audits
from audits.report import Audience, AuditReport
from generators.data import ImageSet, Strings

COLUMNS = ("label", "sex", "age_group", "site")
RICH = {"label": 12, "sex": 2, "age_group": 8, "site": 6}
COARSE = {"label": 2, "sex": 2, "age_group": 2, "site": 2}


def written(n: int, seed: int, name: str, words: dict[str, int] = RICH) -> ImageSet:
    """`n` people with one image of noise each and words drawn evenly."""
    rng = np.random.default_rng(seed)
    columns = {key: np.array([f"{key[0]}{i}" for i in range(k)])[rng.integers(0, k, n)] for key, k in words.items()}
    pixels = rng.integers(0, 255, (n, 8, 8), dtype=np.uint8)
    return ImageSet(images=pixels, subject=np.array([f"{name}{i}" for i in range(n)]), **columns)


def arms(seed: int, words: dict[str, int] = RICH, *, n: int = 300) -> AuditInput:
    """Nothing leaks: the synthetic rows are those of other people."""
    sizes = {"train": n, "holdout": n // 3, "control": n // 3, "synthetic": n}
    drawn = {name: written(size, 10 * seed + i, name, words) for i, (name, size) in enumerate(sizes.items())}
    return AuditInput(**drawn | {"synthetic": replace(drawn["synthetic"], subject=None)}, seed=seed)  # type: ignore[arg-type]


def leaking(data: AuditInput, share: float = 1.0) -> AuditInput:
    """The first rows of the synthetic set are those of training people."""
    n = int(share * len(data.train))
    mixed = {
        name: np.concatenate([getattr(data.train, name)[:n], getattr(data.synthetic, name)[n:]])
        for name, _ in data.synthetic.columns()
    }
    return replace(data, synthetic=replace(data.synthetic, **mixed))  # type: ignore[arg-type]


def run(data: AuditInput, name: str) -> dict[str, Measurement]:
    return {m.name: m for m in list_audits()[name].run(data)}


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize(
    ("audit", "name"), [("singling_out", "singling_out.multivariate"), ("linkability", "linkability.metadata")]
)
def test_training_rows_in_the_release_are_detected(audit: str, name: str, share: float) -> None:
    found = run(leaking(arms(1), share), audit)[name]
    assert (found.status, found.law) == ("detected", audit)
    assert found.p_value is not None
    assert found.p_value <= LEVEL
    assert 0 < found.ci_low <= found.value <= found.ci_high  # type: ignore[operator]


def test_all_rows_released_single_out_everybody_who_is_alone() -> None:
    found = run(leaking(arms(1)), "singling_out")["singling_out.multivariate"]
    assert (found.value, found.positive_control) == (1.0, 1.0)


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_other_people_accuse_nobody(seed: int) -> None:
    found = run(arms(seed), "singling_out") | run(arms(seed), "linkability")
    assert {m.status.value for m in found.values()} == {"not_detected"}
    assert all(m.ci_low <= 0 <= m.ci_high for m in found.values())  # type: ignore[operator]


def test_a_rare_word_of_one_column_points_at_a_person() -> None:
    data = arms(2, RICH | {"label": 400})
    assert run(data, "singling_out")["singling_out.univariate"].status == "not_detected"
    assert run(leaking(data), "singling_out")["singling_out.univariate"].status == "detected"


def test_where_nobody_is_alone_nobody_can_be_singled_out() -> None:
    found = run(leaking(arms(3, COARSE)), "singling_out")["singling_out.multivariate"]
    assert (found.status, found.value, found.ci_high) == ("not_detected", 0.0, 0.0)
    assert "nobody in train is alone" in found.reason


def test_coarse_columns_cannot_tell_a_leak_and_say_so() -> None:
    found = run(arms(4, COARSE), "linkability")["linkability.metadata"]
    assert (found.status, bool(found.reason)) == ("no_power", True)
    few_alone = RICH | {"label": 2, "site": 2}
    assert run(arms(8, few_alone), "singling_out")["singling_out.multivariate"].status == "no_power"


def test_one_column_has_no_combination_and_no_halves() -> None:
    data = arms(5, {"label": 12})
    assert run(data, "singling_out")["singling_out.multivariate"].status == "no_power"
    assert run(data, "linkability")["linkability.metadata"].status == "no_power"


@pytest.mark.parametrize("name", ["singling_out", "linkability", "quasi_identifiers"])
def test_without_columns_nothing_is_assessable(name: str) -> None:
    assert {m.status.value for m in run(arms(6, {}), name).values()} == {"not_assessable"}


@pytest.mark.parametrize("name", ["singling_out", "linkability", "quasi_identifiers"])
def test_few_people_give_no_power(name: str) -> None:
    found = run(arms(7, n=45), name)
    assert {m.status.value for m in found.values()} == {"no_power"}
    assert all(m.value is None and m.reason for m in found.values())


def test_a_person_with_many_images_is_one_person() -> None:
    arm = written(60, 1, "p", {"sex": 2})
    tripled = arm.select(np.repeat(np.arange(60), 3))
    assert People.of(tripled, ("sex",)).cell_sizes() == People.of(arm, ("sex",)).cell_sizes()
    guesses = guesses_on(People.of(tripled, ("sex",)), words_of(arm, ("sex",)), [(0,)], n_people=1)
    assert guesses.counts(np.ones(60, dtype=bool)).sum() == 60


def test_the_chance_of_a_link_is_that_of_a_random_order_of_rows() -> None:
    data = arms(9, n=60)
    synthetic, columns = words_of(data.synthetic, COLUMNS), split_columns(COLUMNS)
    people = People.of(data.train, COLUMNS)
    rng = np.random.default_rng(0)
    drawn = np.mean([_linked(people, synthetic[rng.permutation(60)], columns) for _ in range(400)], axis=0)
    assert np.abs(drawn - link_rates(people, synthetic, columns)).max() < 0.12  # five standard errors of 400 draws


def _linked(people: People, rows: Strings, halves: tuple[list[int], list[int]]) -> np.ndarray:
    """Whether both halves of a person find the same first nearest row."""
    first = [
        (rows[None][:, :, half] != people.words[:, None][:, :, half]).sum(axis=2).argmin(axis=1) for half in halves
    ]
    linked = np.zeros(people.n_people, dtype=bool)
    linked[people.person] = first[0] == first[1]
    return linked


@pytest.mark.parametrize(
    ("n_in_small", "band", "status"), [(3, 0, "detected"), (7, 5, "detected"), (30, 20, "not_detected")]
)
def test_k_is_counted_in_people_and_published_in_bands(n_in_small: int, band: int, status: str) -> None:
    arm = written(200, 1, "p", {"sex": 2})
    small = np.where(np.arange(200) < n_in_small, "other", arm.sex)
    train = replace(arm, sex=small).select(np.repeat(np.arange(200), 2))
    data = replace(arms(1), train=train)
    (found,) = run(data, "quasi_identifiers").values()
    assert (found.status, found.value) == (status, band)
    assert found.internal["smallest_k"] == n_in_small
    text = str(AuditReport.of(data, [found], audits=["quasi_identifiers"]).to_json(Audience.PUBLISHABLE))
    assert "other" not in text
    assert "smallest_k'" not in text.replace("quasi_identifiers.smallest_k'", "")


@pytest.mark.proofs
def test_innocent_tables_are_accused_as_often_as_the_level_says() -> None:
    """150 innocent sets: accusations at most what level .01 explains (exact 99.9 % limit), intervals cover 0."""
    for audit, name in (("singling_out", "singling_out.multivariate"), ("linkability", "linkability.metadata")):
        found = [run(arms(seed), audit)[name] for seed in range(150)]
        accused = sum(m.status == "detected" for m in found)
        covered = sum(m.ci_low <= 0 <= m.ci_high for m in found)  # type: ignore[operator]
        assert accused <= binom.ppf(0.999, 150, LEVEL), name
        assert covered >= binom.ppf(0.001, 150, 0.95), name


def test_a_smaller_group_of_unseen_people_does_not_bias_the_baseline() -> None:
    values = []
    for seed in range(40):
        data = arms(seed, n=150)
        pool = [People.of(arm, COLUMNS) for arm in (data.train, data.holdout)]
        both = pool[0].beside(pool[1])
        guesses = guesses_on(both, words_of(data.synthetic, COLUMNS), [(0, 1, 2, 3)], n_people=150)
        values.append(Excess.of(guesses, 150, 200, alone=0).value)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40)
