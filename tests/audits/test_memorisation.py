"""Copies that were turned, cropped, bent, inverted: found, and named; what never saw the people is not accused."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from audits.base import AuditInput, Measurement
from audits.copies.calibration import hits_p_value
from audits.copies.detector import CopyDetector, Fusion, learn_detector
from audits.copies.elastic import bent_back, bent_correlation
from audits.copies.matching import DETECTORS
from audits.copies.pairs import smoothed, standard, unit, whitening
from audits.copies.parts import learn_parts
from audits.copies.sheet import pair_sheet
from audits.copies.warps import Warp, movement_matrix, warped
from audits.copy_detector import threshold
from audits.page import render_html
from audits.pixels import Floats, to_grey
from audits.planted import TRANSFORMS, elastic, other_visits
from audits.privacy import memorisation as audit_module
from audits.registry import run_audits
from audits.report import Audience, AuditReport
from audits.stats import clopper_pearson
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from tests.audits.arms import statuses, with_few_people

STEPS = 60
HIDDEN = 14


@pytest.fixture(scope="module")
def detector(leak_free: AuditInput) -> CopyDetector:
    """Learned once: half the time of an audit."""
    assert leak_free.control is not None
    return learn_detector(_grey(leak_free.control), leak_free.control.subjects(), seed=0, n_steps=STEPS)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch, detector: CopyDetector) -> None:
    monkeypatch.setattr(audit_module, "learn_detector", lambda *_, **__: detector)
    monkeypatch.setattr(audit_module, "N_PLANTED", 10)


def _grey(images: ImageSet) -> Floats:
    return to_grey(images, white=255)


def _measured(data: AuditInput) -> tuple[Measurement, AuditReport]:
    report = run_audits(data, only=["memorisation"])
    return report.measurements[-1], report


def _with_hidden_copies(data: AuditInput) -> AuditInput:
    """One copy by each transform, in the place of the first 14 synthetic images."""
    rng = np.random.default_rng(2)
    grey, images = _grey(data.train), data.synthetic.images.copy()
    for i, transform in enumerate(TRANSFORMS.values()):
        copy = transform(grey[2 * i : 2 * i + 2], rng)[0]
        images[i] = np.round(copy * 255)
    return replace(data, synthetic=replace(data.synthetic, images=images))


@pytest.mark.usefixtures("fast")
def test_a_copier_is_detected(copier: AuditInput) -> None:
    found, _ = _measured(copier)
    assert found.status == "detected"
    assert found.p_value == pytest.approx(0.001)
    assert found.ci_low > 0.9  # type: ignore[operator]


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("generator", ["leak_free", "blurred"])
def test_a_leak_free_generator_is_not_accused(request: pytest.FixtureRequest, generator: str) -> None:
    found, _ = _measured(request.getfixturevalue(generator))
    assert found.status != "detected", found.reason
    assert found.p_value > audit_module.LEVEL  # type: ignore[operator]
    assert found.positive_control >= 0.7  # type: ignore[operator] # a detector that learned for seconds only
    assert found.value <= 0.03  # type: ignore[operator]


@pytest.mark.usefixtures("fast")
def test_hidden_copies_are_flagged_named_and_shown_inside_only(leak_free: AuditInput) -> None:
    found, report = _measured(_with_hidden_copies(leak_free))
    flagged = {row["index"]: row["detector"] for row in found.internal["flags"]}  # type: ignore[attr-defined]
    hidden = flagged.keys() & set(range(HIDDEN))
    assert len(hidden) >= 10
    nearest = found.internal["nearest_train_index"]
    assert sum(nearest[i] == 2 * i for i in hidden) >= len(hidden) - 1  # type: ignore[index]
    assert set(flagged.values()) <= {*DETECTORS, "pixel identity"}
    sheet = Image.open(io.BytesIO(base64.b64decode(str(found.internal["sheet"]))))
    assert sheet.size[1] > 0
    assert "data:image/png" in render_html(report, Audience.INTERNAL)
    assert "data:image/png" not in render_html(report, Audience.PUBLISHABLE)


def test_bit_for_bit_copies_are_detected_even_among_few_people(leak_free: AuditInput) -> None:
    few = with_few_people(leak_free, 40)
    assert statuses(few, "memorisation") == {"memorisation.copy_rate": "no_power"}
    order = np.arange(len(few.train))[::-1]
    copied = replace(few, synthetic=replace(few.train.select(order), subject=None))
    found, _ = _measured(copied)
    assert found.status == "detected"
    assert found.internal["nearest_train_index"] == dict(enumerate(order.tolist()))


def test_too_few_to_set_the_alarm_have_no_power(leak_free: AuditInput) -> None:
    found, _ = _measured(replace(leak_free, holdout=leak_free.holdout.select(np.arange(90))))
    assert (found.status, found.value) == ("no_power", None)
    assert "90 people set the alarm, 99 are needed" in found.reason


@cache
def _phantoms(size: int) -> Floats:
    return _grey(draw_phantoms(n_subjects=3, size=size, seed=1, max_images=1).images)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("size", [16, 33])
def test_a_planted_copy_is_an_image_of_the_same_shape(name: str, size: int) -> None:
    images = _phantoms(size)
    copies = TRANSFORMS[name](images, np.random.default_rng(0))
    assert (copies.shape, copies.dtype) == (images.shape, np.float32)
    assert np.isfinite(copies).all()
    assert -1e-6 <= copies.min() <= copies.max() <= 1 + 1e-6
    assert (name == "exact") == bool(np.array_equal(copies, images))


def test_images_that_are_no_squares_are_moved_about_their_own_middle() -> None:
    tall = np.zeros((1, 20, 10), dtype=np.float32)
    tall[0, 9:11, 4:6] = 1
    assert np.allclose(warped(tall, Warp(n=1, angle=90.0)), tall, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(-20, 20),
    zoom=st.floats(0.7, 1.4),
    shift=st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)),
    flip=st.booleans(),
)
def test_the_sparse_matrix_moves_as_the_warp_does(
    angle: float, zoom: float, shift: tuple[float, float], flip: bool
) -> None:
    warp = Warp(n=1, angle=angle, zoom=zoom, shift_x=shift[0], shift_y=shift[1], flip=flip)
    image = _phantoms(16)[:1]
    by_matrix = movement_matrix(warp, 16, slice(2, 14)) @ image.ravel()
    assert np.allclose(by_matrix, warped(image, warp)[0, 2:14, 2:14].ravel(), atol=1e-5)


@pytest.fixture(scope="module")
def trained(leak_free: AuditInput) -> Floats:
    return _grey(leak_free.train)


def test_a_bent_copy_is_bent_back_and_a_stranger_stays_one(trained: Floats) -> None:
    parts, sources = learn_parts(trained[100:]), trained[:60]
    bent = elastic(sources, np.random.default_rng(0), strength=1 / 32)

    def alike(known: Floats) -> Floats:
        return np.asarray((parts.vector(bent) * parts.vector(known)).sum(axis=1), dtype=np.float32)

    copies, strangers = (alike(bent_back(known, bent)) for known in (sources, np.roll(sources, 1, axis=0)))
    assert np.median(alike(sources)) < 0.4  # bent by this much, it is no longer recognised as it is
    assert np.median(copies) > 0.7
    assert (copies > np.quantile(strangers, 0.98)).mean() > 0.9


def test_only_the_likeliest_candidate_is_bent_back(trained: Floats) -> None:
    parts, queries = learn_parts(trained[100:]), trained[:70]  # more than are held at once
    candidates = np.stack([np.arange(70), np.arange(1, 71)], axis=1)
    likely = np.tile(np.array([[0.2, 0.1]], dtype=np.float32), (70, 1))
    likely[5] = [-np.inf, 0.1]  # its own subject
    found = bent_correlation(parts, queries, trained, candidates, likely)
    assert np.allclose(np.delete(found[:, 0], 5), 1, atol=0.02)
    assert found[5, 0] == 0
    assert 0 < found[5, 1] < 0.9
    assert not np.delete(found[:, 1], 5).any()


def test_what_holds_nothing_is_like_nothing(trained: Floats) -> None:
    parts, empty = learn_parts(trained), np.full((2, 32, 32), 0.5, dtype=np.float32)
    assert np.isfinite(bent_back(empty, trained[:2])).all()
    found = bent_correlation(parts, empty, trained, np.zeros((2, 1), dtype=np.intp), np.ones((2, 1), dtype=np.float32))
    assert np.allclose(found, 0, atol=1e-3)


def test_smoothing_is_that_of_scipy() -> None:
    images = _phantoms(32)
    assert np.allclose(smoothed(images, 32, 0.7), ndimage.gaussian_filter(images, (0, 0.7, 0.7)), atol=1e-5)


def test_whitened_patches_need_no_standard_form_first() -> None:
    patches = np.random.default_rng(0).normal(0.5, 0.2, (500, 16)).astype(np.float32)
    basis = whitening(standard(patches).T @ standard(patches), len(patches), 12)
    assert np.allclose(unit(patches @ basis), unit(standard(patches) @ basis), atol=1e-4)
    assert not unit(np.full((1, 16), 0.7, dtype=np.float32) @ basis).any()


def test_one_detector_that_is_sure_outweighs_several_that_wonder() -> None:
    fusion = Fusion(ordinary=np.zeros(6, dtype=np.float32), scale=np.ones(6, dtype=np.float32))
    alone, several, beyond, none = fusion(
        np.array([[[0, 0, 0, 0, 0, 9], [3, 3, 3, 0, 0, 0], [3, 3, 3, 3, 0, 9], [-np.inf] * 6]], dtype=np.float32)
    )[0]
    assert alone == pytest.approx(9, abs=1e-5)
    assert several < alone < beyond < 10
    assert none == 0


def test_other_visits_are_pairs_of_one_person() -> None:
    subjects = np.array(["a", "b", "a", "c", "b"])
    first, second = other_visits(subjects)
    assert (first.tolist(), second.tolist()) == ([0, 1], [2, 4])


@pytest.mark.parametrize(("hits", "expected"), [("members", "small"), ("everybody", "large"), ("nobody", "one")])
def test_only_hits_of_members_speak_for_a_leak(hits: str, expected: str) -> None:
    people = np.arange(40)[:, None]
    members = np.arange(40) < 20
    hit = {"members": members, "everybody": np.ones(40, bool), "nobody": np.zeros(40, bool)}[hits][:, None]
    p_value = hits_p_value(hit, people, members, n_draws=199, seed=0)
    assert {"small": p_value <= 0.01, "large": p_value > 0.3, "one": p_value == 1}[expected]


def test_a_sheet_shows_at_most_two_dozen_pairs() -> None:
    images = _phantoms(16)
    shown = Image.open(io.BytesIO(pair_sheet(images, images, [(0, 1)] * 99)))
    assert shown.size == Image.open(io.BytesIO(pair_sheet(images, images, [(0, 1)] * 24))).size


def test_unseen_people_raise_alarms_at_the_stated_rate(detector: CopyDetector) -> None:
    """The part for every run: one threshold, some hundred people."""
    alarms, n = _alarms(detector, n_people=700, n_splits=20)
    assert clopper_pearson(alarms, n, confidence=0.99)[0] <= audit_module.ALARM_RATE


@pytest.mark.proofs
def test_unseen_people_raise_alarms_at_the_stated_rate_over_200_splits(detector: CopyDetector) -> None:
    alarms, n = _alarms(detector, n_people=6000, n_splits=200)
    assert clopper_pearson(alarms, n, confidence=0.99)[0] <= audit_module.ALARM_RATE
    assert alarms / n >= audit_module.ALARM_RATE / 3  # a threshold that nothing reaches would pass as well


def _alarms(detector: CopyDetector, *, n_people: int, n_splits: int) -> tuple[int, int]:
    """False alarms among people dealt anew into those who set the threshold and those who are judged by it."""
    images = draw_phantoms(n_subjects=n_people + 200, size=32, seed=77, max_images=1).images
    train, others = np.split(_grey(images), [200])
    gallery = detector.matcher.gallery(train, np.arange(200).astype(str))
    scores = detector.match(others, gallery)[1].max(axis=1).astype(np.float64)
    rng = np.random.default_rng(0)
    total = 0
    for _ in range(n_splits):
        dealt = scores[rng.permutation(n_people)]
        null, judged = dealt[: n_people // 2], dealt[n_people // 2 :]
        total += int((judged > threshold(null, np.full((1, 1), -np.inf), alarm_rate=audit_module.ALARM_RATE)).sum())
    return total, n_splits * (n_people - n_people // 2)


@pytest.mark.proofs
@pytest.mark.parametrize("seed", range(12))
def test_innocence_does_not_depend_on_the_split(leak_free: AuditInput, seed: int) -> None:
    data = _dealt_anew(leak_free, seed)
    found, _ = _measured(replace(data, seed=seed))
    assert found.status != "detected", found.reason


def _dealt_anew(data: AuditInput, seed: int) -> AuditInput:
    assert data.control is not None
    arms = (data.train, data.holdout, data.control)
    images = np.concatenate([arm.images for arm in arms])
    order = np.random.default_rng(seed).permutation(len(images))
    parts = np.split(order, np.cumsum([len(arm) for arm in arms])[:-1])
    train, holdout, control = (_people(images[rows], letter) for rows, letter in zip(parts, "thc", strict=True))
    return replace(data, train=train, holdout=holdout, control=control)


def _people(images: NDArray[np.uint8], letter: str) -> ImageSet:
    return ImageSet(images=images, subject=np.array([f"{letter}{i}" for i in range(len(images))]))
