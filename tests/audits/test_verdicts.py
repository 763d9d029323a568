"""Every audit, fed generators whose truth is known: the guilty are found, the innocent are not accused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audits.base import AuditInput
from audits.registry import list_audits, run_audits
from generators.data import ImageSet
from tests.audits.arms import noisy_copies, statuses, with_few_people, without_columns

PRIVACY = ("nearest_copies", "membership_inference")


@pytest.mark.parametrize("name", PRIVACY)
def test_a_copier_is_detected_by_every_measurement(copier: AuditInput, name: str) -> None:
    assert set(statuses(copier, name).values()) == {"detected"}


@pytest.mark.parametrize("generator", ["leak_free", "blurred"])
@pytest.mark.parametrize("name", PRIVACY)
def test_a_leak_free_generator_is_not_accused(request: pytest.FixtureRequest, generator: str, name: str) -> None:
    assert set(statuses(request.getfixturevalue(generator), name).values()) == {"not_detected"}


@pytest.mark.parametrize("name", PRIVACY)
def test_a_copier_is_detected_without_a_control_arm_or_the_audit_says_that_it_cannot(
    copier: AuditInput, name: str
) -> None:
    assert set(statuses(replace(copier, control=None), name).values()) <= {"detected", "no_power"}


@pytest.mark.parametrize("seed", range(4))
def test_innocence_does_not_depend_on_the_split(leak_free: AuditInput, seed: int) -> None:
    data = _dealt_anew(leak_free, seed)
    assert statuses(data, "nearest_copies") == {"nearest_copies.copy_rate": "not_detected"}


def test_one_exact_copy_among_many_is_detected_and_named(leak_free: AuditInput) -> None:
    images = leak_free.synthetic.images.copy()
    images[17] = leak_free.train.images[5]
    data = replace(leak_free, synthetic=replace(leak_free.synthetic, images=images))
    found = _only(data, "nearest_copies.copy_rate")
    assert found.status == "detected"
    assert {"index": 17, "p_value": 0.0, "detector": "pixel identity"} in found.internal["flags"]  # type: ignore[operator]


def test_copies_hidden_among_innocents_are_flagged(leak_free: AuditInput) -> None:
    hidden = noisy_copies(leak_free.train, n=40, seed=2)
    images = leak_free.synthetic.images.copy()
    images[:40] = hidden.images
    data = replace(leak_free, synthetic=replace(leak_free.synthetic, images=images))
    found = _only(data, "nearest_copies.copy_rate")
    flagged = {row["index"] for row in found.internal["flags"]}  # type: ignore[attr-defined]
    assert found.status == "detected"
    assert len(flagged & set(range(40))) >= 36
    assert found.ci_low <= 0.1 <= found.ci_high + 0.02  # type: ignore[operator]


def test_arms_from_different_sources_are_not_taken_for_a_leak(leak_free: AuditInput) -> None:
    brighter = (leak_free.holdout.images.astype(int) * 7 // 10 + 60).clip(0, 255).astype(np.uint8)
    inverted = 255 - brighter
    data = replace(leak_free, holdout=replace(leak_free.holdout, images=inverted))
    assert "detected" not in statuses(data, "membership_inference").values()


@pytest.mark.parametrize("name", ["manifold", "kernel_distance"])
def test_real_looking_images_stand_at_the_floor_and_blurred_ones_below(
    leak_free: AuditInput, blurred: AuditInput, name: str
) -> None:
    assert set(statuses(leak_free, name).values()) == {"not_detected"}
    assert set(statuses(replace(blurred, embedding="histograms"), name).values()) == {"detected"}


def test_blur_is_seen_in_the_networks_features_by_all_but_recall(blurred: AuditInput) -> None:
    """Recall is fooled: images far out have wide neighbourhoods, into which real images fall (Naeem et al. 2020)."""
    found = statuses(blurred, "manifold")
    assert {name for name, status in found.items() if status == "detected"} >= {
        "manifold.precision",
        "manifold.density",
        "manifold.coverage",
    }
    assert statuses(blurred, "kernel_distance") == {"kernel_distance.mmd": "detected"}


def test_labels_without_meaning_cost_utility(leak_free: AuditInput) -> None:
    assert set(statuses(leak_free, "train_on_synthetic").values()) == {"not_detected"}
    assert leak_free.synthetic.label is not None
    shuffled = np.random.default_rng(0).permutation(leak_free.synthetic.label)
    data = replace(leak_free, synthetic=replace(leak_free.synthetic, label=shuffled))
    assert set(statuses(data, "train_on_synthetic").values()) == {"detected"}


def test_a_mix_of_labels_that_forgets_a_group_is_found(leak_free: AuditInput) -> None:
    assert set(statuses(leak_free, "label_shares").values()) == {"not_detected"}
    synthetic = leak_free.synthetic
    assert synthetic.label is not None
    forgotten = synthetic.select((synthetic.label == "normal") | (synthetic.sex != "F"))
    assert statuses(replace(leak_free, synthetic=forgotten), "label_shares")["label_shares.sex"] == "detected"


@pytest.mark.parametrize("name", [n for n in list_audits() if n not in {"group_gaps", "label_shares"}])
def test_too_few_people_give_no_power_never_a_pass(leak_free: AuditInput, name: str) -> None:
    answers = run_audits(with_few_people(leak_free, 40), only=[name]).measurements
    answers = [m for m in answers if not m.name.startswith("arms.")]
    assert {m.status.value for m in answers} == {"no_power"} or all(m.status == "not_assessable" for m in answers)
    assert all(m.reason and m.value is None for m in answers)


@pytest.mark.parametrize("name", ["group_gaps", "label_shares"])
def test_missing_demographics_are_not_assessable_never_fair(leak_free: AuditInput, name: str) -> None:
    data = without_columns(leak_free, "sex", "age_group", "site")
    assert set(statuses(data, name).values()) == {"not_assessable"}


def test_small_groups_are_named_not_judged(leak_free: AuditInput) -> None:
    sex = leak_free.holdout.sex
    assert sex is not None
    few = sex.astype("<U5").copy()
    few[:12] = "other"
    found = _only(replace(leak_free, holdout=replace(leak_free.holdout, sex=few)), "group_gaps.sex")
    assert found.details["suppressed"] == ["other"]
    assert "other" not in found.n


@pytest.mark.parametrize("arm", ["train", "holdout", "synthetic"])
def test_missing_labels_are_not_assessable(leak_free: AuditInput, arm: str) -> None:
    data = replace(leak_free, **{arm: replace(getattr(leak_free, arm), label=None)})  # type: ignore[arg-type]
    assert set(statuses(data, "train_on_synthetic").values()) == {"not_assessable"}


def _only(data: AuditInput, name: str):  # type: ignore[no-untyped-def]
    report = run_audits(data, only=[name.partition(".")[0]])
    return next(m for m in report.measurements if m.name == name)


def _dealt_anew(data: AuditInput, seed: int) -> AuditInput:
    """The same people dealt to train, holdout and control in another order."""
    sizes = [len(data.train), len(data.holdout), len(data.control)]  # type: ignore[arg-type]
    arms = (data.train, data.holdout, data.control)
    images = np.concatenate([arm.images for arm in arms])  # type: ignore[union-attr]
    order = np.random.default_rng(seed).permutation(len(images))
    parts = [images[rows] for rows in np.split(order, np.cumsum(sizes)[:-1])]
    names = [np.array([f"{arm}{i}" for i in range(len(part))]) for arm, part in zip("thc", parts, strict=True)]
    real = [ImageSet(images=part, subject=who) for part, who in zip(parts, names, strict=True)]
    return replace(data, train=real[0], holdout=real[1], control=real[2])
