"""Fairness: a group that is served worse is named, small groups are shown or suppressed, never called fair."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from audits.base import AuditInput, Measurement
from audits.fairness import cell_fidelity
from audits.fairness.cell_fidelity import NEAREST_K, density_and_coverage, thinned
from audits.groups.cells import Cells, column_of
from audits.judges import try_out
from audits.registry import list_audits
from audits.stats import clopper_pearson
from generators.data import ImageSet
from tests.audits.arms import without_columns


def run(data: AuditInput, name: str) -> dict[str, Measurement]:
    return {m.name: m for m in list_audits()[name].run(data)}


def dealt(people: ImageSet, *sizes: int) -> AuditInput:
    """To train, holdout, synthetic and control; without sites, which would only double the groups to look at."""
    drawn = replace(people, site=None)
    train, holdout, synthetic, control = (
        drawn.select(part) for part in np.split(np.arange(len(drawn)), np.cumsum(sizes))
    )
    return AuditInput(train=train, holdout=holdout, synthetic=replace(synthetic, subject=None), control=control)


@pytest.fixture(scope="module")
def tested(people: ImageSet) -> AuditInput:
    """Two labels, and a holdout that has more than 100 people of most cells."""
    return dealt(people.select(np.isin(people.label, ["normal", "opacity"])), 70, 430, 70)


@pytest.fixture(scope="module")
def even(people: ImageSet) -> AuditInput:
    """Every arm has more than 100 people of either sex."""
    return dealt(people, 250, 250, 250)


def failing(data: AuditInput, sex: str) -> AuditInput:
    """The holdout's labels of one sex are swapped, so that whatever was learned is wrong there."""
    assert data.holdout.label is not None
    swapped = np.where(data.holdout.label == "normal", "opacity", "normal")
    label = np.where(data.holdout.sex == sex, swapped, data.holdout.label)
    return replace(data, holdout=replace(data.holdout, label=label))


def meaningless(data: AuditInput) -> AuditInput:
    """The holdout's groups dealt anew, so that none can be served worse."""
    assert data.holdout.sex is not None
    sex = np.random.default_rng(1).permutation(data.holdout.sex)
    return replace(data, holdout=replace(data.holdout, sex=sex))


def test_a_group_that_the_classifier_fails_shows_in_auc_and_in_rates(tested: AuditInput) -> None:
    found = run(failing(tested, "F"), "group_gaps")
    assert (found["group_gaps.sex"].status, found["group_gaps.sex"].details["worst"]) == ("detected", "F")
    errors = found["group_gaps.tpr.sex"]
    assert (errors.status, str(errors.details["worst"])[-1]) == ("detected", "F")
    assert found["group_gaps.sex_and_age_group"].status == "detected"
    assert "F" in str(found["group_gaps.sex_and_age_group"].details["worst"])


def test_groups_without_meaning_show_no_gap(tested: AuditInput) -> None:
    found = run(meaningless(tested), "group_gaps")
    assert found["group_gaps.sex"].status == "not_detected"
    assert found["group_gaps.tpr.sex"].status == "not_detected"


def test_rates_are_counts_of_people_with_the_label(tested: AuditInput) -> None:
    found = run(tested, "group_gaps")["group_gaps.tpr.sex"]
    trial = try_out(tested)
    women = (trial.truth == list(trial.labels).index("opacity")) & (tested.holdout.sex == "F")
    rate = (trial.synthetic[women].argmax(axis=1) == trial.truth[women]).mean()
    assert found.details["tpr"]["opacity in F"] == pytest.approx(rate)  # type: ignore[index]
    assert found.details["fnr"]["opacity in F"] == pytest.approx(1 - rate)  # type: ignore[index]
    assert found.n["opacity in F"] == women.sum()


def test_groups_of_30_are_shown_and_not_judged(tested: AuditInput) -> None:
    data = replace(tested, holdout=tested.holdout.select(np.arange(150)))
    found = run(data, "group_gaps")["group_gaps.sex"]
    assert (found.status, found.value) == ("no_power", None)
    assert set(found.details["auc"]) == {"F", "M"}  # type: ignore[call-overload]
    assert found.details["not_judged"] == ["F", "M"]
    assert "shown, not judged for fewer than 100 people: F, M" in found.reason


@pytest.mark.parametrize("name", ["group_gaps", "cell_fidelity", "label_shares"])
def test_groups_below_30_are_named_and_not_shown(even: AuditInput, name: str) -> None:
    def few(arm: ImageSet) -> ImageSet:
        return replace(arm, sex=np.where(np.arange(len(arm)) < 20, "other", np.asarray(arm.sex)))

    data = replace(even, train=few(even.train), holdout=few(even.holdout), synthetic=few(even.synthetic))
    found = next(m for m in run(data, name).values() if m.name.endswith(".sex"))
    assert "other" in (found.details.get("suppressed") or found.details["not_shown"])  # type: ignore[operator]
    assert "other" not in found.n
    assert "other" in found.reason


@pytest.mark.parametrize("name", ["group_gaps", "cell_fidelity", "label_shares"])
def test_no_demographics_are_not_assessable_never_fair(leak_free: AuditInput, name: str) -> None:
    found = run(without_columns(leak_free, "sex", "age_group", "site"), name)
    assert {m.status.value for m in found.values()} == {"not_assessable"}
    assert all(m.reason and m.value is None for m in found.values())


def test_a_group_whose_images_are_blurred_is_found(even: AuditInput) -> None:
    assert even.synthetic.sex is not None
    images = even.synthetic.images.astype(float)
    women = even.synthetic.sex == "F"
    images[women] = images[women].mean(axis=0) + 0.2 * (images[women] - images[women].mean(axis=0))
    blurred = replace(even.synthetic, images=images.astype(np.uint8))
    found = run(replace(even, synthetic=blurred), "cell_fidelity")["cell_fidelity.coverage.sex"]
    assert (found.status, found.details["worst"]) == ("detected", "F")


def test_real_images_of_other_people_fall_short_for_no_group(even: AuditInput) -> None:
    found = run(even, "cell_fidelity")
    assert "detected" not in {m.status.value for m in found.values()}
    assert found["cell_fidelity.coverage.sex"].status == "not_detected"


def test_a_small_cell_is_not_flattered_by_its_size(even: AuditInput) -> None:
    """Coverage by one and the same shifted kind of image rises as n falls; the audit compares cells at one n."""
    rng = np.random.default_rng(0)
    at = {
        n: np.mean([density_and_coverage(rng.normal(size=(n, 6)), rng.normal(1, 1, (n, 6)))[1] for _ in range(30)])
        for n in (12, 120)
    }
    assert at[12] > at[120] + 0.05
    lopsided = {
        name: replace(arm, sex=np.where(np.arange(len(arm)) < 105, "F", "M"))
        for name in ("train", "holdout", "synthetic")
        for arm in [getattr(even, name)]
    }
    found = run(replace(even, **lopsided), "cell_fidelity")["cell_fidelity.coverage.sex"]
    assert found.status == "not_detected"


def test_density_and_coverage_are_those_of_prdc() -> None:
    from prdc import compute_prdc

    rng = np.random.default_rng(2)
    real, other = rng.normal(size=(40, 5)), rng.normal(0.3, 1, size=(40, 5))
    expected = compute_prdc(real, other, nearest_k=NEAREST_K)
    assert density_and_coverage(real, other) == pytest.approx((expected["density"], expected["coverage"]))


def test_a_mix_is_judged_on_groups_of_100(even: AuditInput) -> None:
    synthetic = even.synthetic
    forgotten = synthetic.select((synthetic.label == "normal") | (synthetic.sex != "F"))
    assert run(replace(even, synthetic=forgotten), "label_shares")["label_shares.sex"].status == "detected"
    few = replace(even, train=even.train.select(np.arange(150)), synthetic=forgotten)
    found = run(few, "label_shares")["label_shares.sex"]
    assert (found.status, found.value, found.details["not_judged"]) == ("no_power", None, ["F", "M"])


def test_one_mix_is_called_another_as_seldom_as_the_level_says() -> None:
    """400 deals of two arms from one mix of four labels in five groups, people with one to three images in train."""
    rng = np.random.default_rng(5)
    blank = np.zeros((1, 4, 4), dtype=np.uint8)
    mix = [0.7, 0.2, 0.08, 0.02]

    def arm(n_people: int, most_images: int) -> ImageSet:
        person = np.repeat(np.arange(n_people), rng.integers(1, most_images + 1, n_people))
        words = np.array(["none", "nodule", "mass", "rare"])[rng.choice(4, size=n_people, p=mix)]
        return ImageSet(
            images=np.broadcast_to(blank, (len(person), 4, 4)),
            label=words[person],
            subject=person.astype(str),
            age_group=np.array(["0-17", "18-34", "35-49", "50-64", "65+"])[person % 5],
        )

    accused = 0
    for _ in range(400):
        train, synthetic = arm(600, 3), arm(800, 1)
        dealt_anew = AuditInput(train=train, holdout=train, synthetic=synthetic)
        accused += run(dealt_anew, "label_shares")["label_shares.age_group"].status == "detected"
    assert clopper_pearson(accused, 400)[0] <= 0.05


def test_crossed_groups_leave_out_who_is_unknown_in_a_part() -> None:
    arm = ImageSet(
        images=np.arange(27, dtype=np.uint8).reshape(3, 3, 3),
        sex=np.array(["F", "", "M"]),
        age_group=np.array(["65+", "65+", ""]),
    )
    groups = column_of(arm, "sex_and_age_group")
    assert groups is not None
    assert groups.tolist() == ["F 65+", "", ""]
    assert column_of(arm, "sex_and_site") is None


def test_thresholds_are_inclusive() -> None:
    cells = Cells.of({"a": 29, "b": 30, "c": 99, "d": 100})
    assert (cells.shown, cells.judged, dict(cells.suppressed)) == (("b", "c", "d"), ("d",), {"a": 29})


def test_a_large_arm_is_thinned_by_cell_so_that_rare_groups_stay_whole(
    people: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_fidelity, "MAX_DRAWN", 10)
    assert people.sex is not None
    rare = np.where(np.arange(len(people)) < 15, "X", people.sex)
    arm = replace(people, sex=rare, site=None)
    kept = thinned(arm, seed=0)
    assert _cells(kept) == {cell: min(n, 20) for cell, n in _cells(arm).items()}
    assert len(kept) < len(arm) / 2
    few = arm.select(np.arange(20))
    assert thinned(few, seed=0) is few


def _cells(arm: ImageSet) -> Counter[str]:
    groups = column_of(arm, "sex_and_age_group")
    assert groups is not None
    return Counter(groups.tolist())
