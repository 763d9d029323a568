"""Detectability: spoilt images are recognised on site and by a receiver, other real people's are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from audits.base import AuditInput, Measurement, Status
from audits.recognition import Looks, cross_validated, halves, with_shares_of
from audits.registry import list_audits
from generators.data import ImageSet
from tests.audits.arms import with_few_people

AUDITOR, RECEIVER = "detectability.auditor", "detectability.receiver"
Pixels = NDArray[np.uint8]


def run(data: AuditInput) -> Mapping[str, Measurement]:
    return {m.name: m for m in list_audits()["detectability"].run(replace(data, embedding="histograms"))}


def spoilt(data: AuditInput, change: Callable[[Pixels], NDArray[np.floating]]) -> AuditInput:
    pixels = np.clip(np.rint(change(data.synthetic.images)), 0, 255).astype(np.uint8)  # type: ignore[arg-type]
    return replace(data, synthetic=replace(data.synthetic, images=pixels))


@pytest.fixture(scope="module")
def small(leak_free: AuditInput) -> AuditInput:
    """Seventy people an arm are enough where the truth is plain."""
    some = {name: getattr(leak_free, name).select(np.arange(70)) for name in ("train", "holdout", "synthetic")}
    return replace(leak_free, **some)


@pytest.fixture(scope="module")
def innocent(leak_free: AuditInput) -> Mapping[str, Measurement]:
    return run(leak_free)


def test_other_peoples_images_are_not_told_from_real_ones(innocent: Mapping[str, Measurement]) -> None:
    assert {m.status for m in innocent.values()} == {Status.NOT_DETECTED}
    for found in innocent.values():
        assert found.ci_low < 0.5 < found.ci_high  # type: ignore[operator]
        assert found.baseline == pytest.approx(0.5, abs=0.1)
        assert found.positive_control > 0.9  # type: ignore[operator]
        assert found.details["tpr_at_1pct"] < 0.1  # type: ignore[operator]


@pytest.mark.parametrize(
    "change",
    [
        lambda images: ndimage.gaussian_filter(images.astype(float), (0, 0.7, 0.7)),
        lambda images: np.random.default_rng(0).integers(0, 256, images.shape),
    ],
    ids=["blurred", "plain noise"],
)
def test_spoilt_images_are_recognised(leak_free: AuditInput, change: Callable[[Pixels], NDArray[np.floating]]) -> None:
    found = run(spoilt(leak_free, change))
    assert {m.status for m in found.values()} == {Status.DETECTED}
    assert all(m.value > 0.95 and m.details["tpr_at_1pct"] > 0.8 for m in found.values())  # type: ignore[operator]


def test_it_is_no_leak_and_says_which_detector_stays(innocent: Mapping[str, Measurement]) -> None:
    assert all(m.law is None and m.p_value is None for m in innocent.values())
    assert innocent[AUDITOR].details["detector"] == "it learned from private images and stays on site"
    assert "public images and the released ones alone" in str(innocent[RECEIVER].details["detector"])
    own = innocent[RECEIVER].details["at_its_own_threshold"]
    assert set(own) == {"recognised", "real_taken_for_synthetic"}  # type: ignore[call-overload]


def test_a_holdout_of_another_source_is_not_assessable(leak_free: AuditInput) -> None:
    darker = (leak_free.holdout.images * 0.8).astype(np.uint8)
    found = run(replace(leak_free, holdout=replace(leak_free.holdout, images=darker)))
    assert {m.status for m in found.values()} == {Status.NOT_ASSESSABLE}
    assert "differ in source" in found[AUDITOR].reason


def test_a_receiver_without_public_images_is_not_assessable(small: AuditInput) -> None:
    def wide(arm: ImageSet) -> ImageSet:
        return replace(arm, images=arm.images[:, 4:28])

    names = ("train", "holdout", "synthetic", "control")
    found = run(replace(small, **{name: wide(getattr(small, name)) for name in names}))
    assert found[AUDITOR].status is Status.NOT_DETECTED
    assert found[RECEIVER].status is Status.NOT_ASSESSABLE
    assert "no public images" in found[RECEIVER].reason


def test_few_people_or_few_images_in_the_real_shares_are_no_power(leak_free: AuditInput) -> None:
    assert {m.status for m in run(with_few_people(leak_free, 40)).values()} == {Status.NO_POWER}
    label = leak_free.synthetic.label
    assert label is not None
    lopsided = np.flatnonzero((label == "normal") | (np.cumsum(label == "nodule") <= 3))
    found = run(replace(leak_free, synthetic=leak_free.synthetic.select(lopsided)))
    assert {m.status for m in found.values()} == {Status.NO_POWER}
    assert "shares of labels" in found[AUDITOR].reason


def test_an_even_mix_of_labels_is_not_taken_for_a_look(leak_free: AuditInput) -> None:
    label = leak_free.holdout.label
    assert label is not None
    uneven = leak_free.holdout.select((label == "normal") | (np.arange(len(label)) % 4 == 0))
    matched = with_shares_of(uneven, leak_free.synthetic, seed=0)
    shares = [np.unique(arm.label, return_counts=True)[1] / len(arm) for arm in (uneven, matched)]
    np.testing.assert_allclose(*shares, atol=0.02)


def test_nobody_is_in_two_folds_or_halves() -> None:
    """One pixel names the person, so a detector that had seen anybody would know them again."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(60), 4)
    named = np.repeat(rng.normal(0, 1, (120, 20)), 4, axis=0).astype(np.float32)
    arms = [
        Looks(linear=named[part], boosted=named[part], subjects=np.char.add(name, people.astype(str)))
        for name, part in (("a", slice(0, 240)), ("b", slice(240, 480)))
    ]
    assert cross_validated(*arms, seed=0).auc == pytest.approx(0.5, abs=0.17)
    first, second = halves(arms[0].subjects, rng)
    assert not set(arms[0].subjects[first]) & set(arms[0].subjects[second])
