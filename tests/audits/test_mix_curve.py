"""The mix curve: more real people do not harm, labels that mean nothing do, and few people cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from audits.base import AuditInput, Measurement, Status
from audits.judges import Lesson
from audits.mixing.reading import Point, Reading, read_curve, read_point
from audits.mixing.shares import halves_of, n_asked, stratified_order
from audits.registry import list_audits
from audits.sampling import at_most
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from tests.audits.arms import without_columns

AUC, RAREST = "mix_curve.auc_difference", "mix_curve.rarest_sensitivity_difference"


def run(data: AuditInput) -> Mapping[str, Measurement]:
    return {m.name: m for m in list_audits()["mix_curve"].run(data)}


@pytest.fixture(scope="module")
def judged() -> AuditInput:
    """Two labels that the judge tells well, and a holdout of 450 people: enough to see two hundredths of AUC."""
    drawn = draw_phantoms(n_subjects=1250, size=32, seed=5, max_images=1, labels=("normal", "opacity")).images
    train, holdout, others = (drawn.select(part) for part in np.split(np.arange(1250), [400, 850]))
    return AuditInput(train=train, holdout=holdout, synthetic=replace(others, subject=None))


@pytest.fixture(scope="module")
def innocent(judged: AuditInput) -> Mapping[str, Measurement]:
    return run(judged)


@pytest.fixture(scope="module")
def harmful(judged: AuditInput) -> Mapping[str, Measurement]:
    """Labels that mean nothing."""
    assert judged.synthetic.label is not None
    dealt = np.random.default_rng(0).permutation(judged.synthetic.label)
    return run(replace(judged, synthetic=replace(judged.synthetic, label=dealt)))


def test_more_real_people_do_not_harm(innocent: Mapping[str, Measurement]) -> None:
    assert innocent[AUC].status is Status.NOT_DETECTED
    assert innocent[RAREST].status is not Status.DETECTED
    assert "is not worse than real alone by more than 0.02" in innocent[AUC].reason


def test_labels_that_mean_nothing_harm(harmful: Mapping[str, Measurement]) -> None:
    assert harmful[AUC].status is Status.DETECTED
    assert "100 % it harms" in harmful[AUC].reason
    assert harmful[AUC].details["added_to_half_of_the_real"]["as_many_synthetic_images"] < 0  # type: ignore[index]
    assert harmful[AUC].ci_high < 0  # type: ignore[operator]


def test_the_control_harms_and_other_real_people_help(innocent: Mapping[str, Measurement]) -> None:
    found = innocent[AUC]
    assert found.positive_control < -0.2 < 0 < found.baseline  # type: ignore[operator]
    half = found.details["added_to_half_of_the_real"]
    assert half["other_half"] == found.baseline  # type: ignore[index]
    assert half["as_many_synthetic_images"] > 0  # type: ignore[index]


def test_shares_that_the_images_do_not_suffice_for_are_left_out_and_named(innocent: Mapping[str, Measurement]) -> None:
    found = innocent[AUC]
    assert list(found.details["by_share"]) == ["25 %", "50 %", "100 %"]  # type: ignore[call-overload]
    assert f"200 % needs 800 synthetic images, there are {found.n['synthetic_images']}" in found.reason
    assert found.details["value_at"] == "100 %"
    assert set(found.details["by_label"]) == {"normal", "opacity"}  # type: ignore[call-overload]


def test_without_enough_images_for_the_smallest_share_there_is_no_power(judged: AuditInput) -> None:
    few = run(replace(judged, synthetic=judged.synthetic.select(np.arange(90))))
    assert {m.status for m in few.values()} == {Status.NO_POWER}
    assert "the smallest share needs 100 synthetic images, there are 90" in few[AUC].reason


def test_without_labels_it_is_not_assessable(judged: AuditInput) -> None:
    bare = replace(judged, control=judged.holdout)
    assert {m.status for m in run(without_columns(bare, "label")).values()} == {Status.NOT_ASSESSABLE}


def test_noise_for_a_holdout_is_no_power_never_a_pass(judged: AuditInput) -> None:
    """A holdout whose labels mean nothing shows no harm of anything, so it shows no innocence either."""
    assert judged.holdout.label is not None
    dealt = np.random.default_rng(3).permutation(judged.holdout.label)
    found = run(replace(judged, holdout=replace(judged.holdout, label=dealt)))
    assert found[AUC].status is not Status.NOT_DETECTED


@pytest.mark.parametrize(
    ("centre", "spread", "reading"),
    [
        (0.00, 0.005, Reading.FITS),
        (-0.01, 0.004, Reading.FITS),
        (0.03, 0.005, Reading.HELPS),
        (-0.05, 0.005, Reading.HARMS),
        (0.00, 0.030, Reading.OPEN),
        (-0.03, 0.014, Reading.OPEN),  # below 0 at 95 % for this share alone, not over all four
    ],
)
def test_a_point_is_read_by_its_interval_and_the_margin(centre: float, spread: float, reading: Reading) -> None:
    draws = np.random.default_rng(0).normal(centre, spread, 4000)
    assert read_point("50 %", (centre, draws), margin=0.02, n_points=4).reading is reading


def test_too_few_rare_people_never_keep_the_margin_yet_may_show_harm() -> None:
    same, worse = np.zeros(1000), np.full(1000, -0.3)
    found = [
        read_point("25 %", (float(draws[0]), draws), margin=0.05, n_points=1, decidable=False).reading
        for draws in (same, worse)
    ]
    assert found == [Reading.OPEN, Reading.HARMS]


def test_the_sentence_says_how_much_helps_and_where_it_harms() -> None:
    readings = {"25 %": Reading.HELPS, "50 %": Reading.HELPS, "100 %": Reading.FITS, "200 %": Reading.HARMS}
    points = [
        Point(share=share, difference=0.03 - 0.02 * k, ci_low=0, ci_high=0, reading=reading)
        for k, (share, reading) in enumerate(readings.items())
    ]
    assert read_curve(points, points[2], margin=0.02) == (
        Status.DETECTED,
        (
            "up to 100 % synthetic is not worse than real alone by more than 0.02; most help comes at 25 % (+0.030); "
            "at 200 % it harms"
        ),
    )
    unclear = replace(points[2], reading=Reading.OPEN)
    status, reason = read_curve([*points[:2], unclear], unclear, margin=0.02)
    assert status is Status.NO_POWER
    assert reason.endswith("at 100 % so few people cannot tell")


def test_every_beginning_of_the_order_holds_the_labels_evenly() -> None:
    classes = np.repeat([0, 1, 2], [60, 30, 10])
    order = stratified_order(classes, np.random.default_rng(0))
    assert sorted(order) == list(range(100))
    for n in (10, 20, 50):
        assert np.abs(np.bincount(classes[order[:n]]) - n * np.array([0.6, 0.3, 0.1])).max() <= 1
    assert n_asked(100) == {"25 %": 25, "50 %": 50, "100 %": 100, "200 %": 200}


def test_of_a_large_arm_whole_people_are_taught() -> None:
    arm = ImageSet(images=np.zeros((30, 2, 2), np.uint8), subject=np.repeat(np.arange(10), 3).astype(str))
    assert at_most(arm, 30, seed=0) is arm
    few = at_most(arm, 12, seed=0)
    assert (len(few), few.n_subjects) == (12, 4)


def test_halves_share_no_person() -> None:
    subjects = np.repeat(np.arange(40).astype(str), 3)
    pixels = np.arange(120, dtype=np.float32)[:, None]
    whole = Lesson(views=(pixels, pixels), classes=np.repeat(np.arange(40) % 2, 3), subjects=subjects)
    first, second = halves_of(whole, seed=1)
    assert not set(first.subjects) & set(second.subjects)
    assert len(first) == len(second) == 60
    assert first.classes.mean() == second.classes.mean() == 0.5
