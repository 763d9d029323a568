"""Arms of two sources are not held against each other; arms dealt from one cohort are."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from audits.base import AuditInput
from audits.checks import prepare, same_source
from audits.jpeg_history import grid_strength
from audits.two_sample import compare
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from tests.audits.arms import noisy_copies, statuses, with_few_people

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def arms() -> AuditInput:
    """Phantom people at 64 pixels, where a grid of 8 has seven borders."""
    people = draw_phantoms(n_subjects=480, size=64, seed=9, max_images=1).images
    train, holdout, control, others = (people.select(part) for part in np.split(np.arange(480), [200, 300, 400]))
    return AuditInput(train=train, holdout=holdout, control=control, synthetic=replace(others, subject=None))


def _compressed(images: Pixels, quality: int = 80) -> Pixels:
    out = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=quality)
        out.append(np.asarray(Image.open(stream)))
    return np.stack(out)


def _blurred(images: Pixels) -> Pixels:
    return np.asarray(ndimage.gaussian_filter(images.astype(float), (0, 0.5, 0.5)), dtype=np.uint8)


OTHER_SOURCES: dict[str, Callable[[Pixels], Pixels]] = {
    "compressed": _compressed,
    "brighter": lambda images: (255 * (images / 255) ** 0.85).astype(np.uint8),
    "smoother": _blurred,
    "of six bits": lambda images: images // 4 * 4,
    "moved by a pixel": lambda images: np.roll(images, 1, axis=1),
}


def _changed(data: AuditInput, arm: str, change: Callable[[Pixels], Pixels]) -> AuditInput:
    other: ImageSet = getattr(data, arm)
    return replace(data, **{arm: replace(other, images=change(other.images))})  # type: ignore[arg-type]


@pytest.mark.parametrize("arm", ["holdout", "control"])
@pytest.mark.parametrize("change", OTHER_SOURCES.values(), ids=OTHER_SOURCES)
def test_an_unseen_arm_of_another_source_is_refused_with_the_reason(
    arms: AuditInput, arm: str, change: Callable[[Pixels], Pixels]
) -> None:
    reason = same_source(_changed(arms, arm, change))
    assert reason.startswith(f"train is told from {arm} without any leak")


@pytest.mark.parametrize("audit", ["memorisation", "attribute_inference"])
def test_a_holdout_of_another_source_makes_no_member_a_suspect(arms: AuditInput, audit: str) -> None:
    mismatched = _changed(arms, "holdout", OTHER_SOURCES["brighter"])
    assert set(statuses(mismatched, audit).values()) == {"not_assessable"}


@pytest.mark.parametrize("audit", ["membership_inference", "nearest_copies"])
def test_audits_that_hold_members_against_others_say_not_assessable(arms: AuditInput, audit: str) -> None:
    mismatched = _changed(arms, "holdout", OTHER_SOURCES["brighter"])
    assert set(statuses(mismatched, audit).values()) == {"not_assessable"}
    assert "not_assessable" not in statuses(arms, audit).values()


def test_an_exact_copy_is_detected_whatever_the_source_of_the_holdout(arms: AuditInput) -> None:
    mismatched = _changed(arms, "holdout", OTHER_SOURCES["brighter"])
    copied = replace(mismatched, synthetic=noisy_copies(arms.train, n=80, seed=0, scale=0))
    assert statuses(copied, "nearest_copies") == {"nearest_copies.copy_rate": "detected"}


def test_one_cohort_dealt_by_chance_is_one_source(arms: AuditInput, leak_free: AuditInput) -> None:
    assert same_source(arms) == same_source(leak_free) == same_source(replace(arms, control=None)) == ""


def test_too_few_people_are_not_called_another_source(arms: AuditInput) -> None:
    assert same_source(with_few_people(_changed(arms, "holdout", OTHER_SOURCES["brighter"]), 40)) == ""


def test_the_test_accuses_one_source_as_seldom_as_its_level_says() -> None:
    rng = np.random.default_rng(0)
    found = [compare(*np.split(rng.normal(0, 1, (60, 5)), [40]), seed=seed).p_value for seed in range(40)]
    assert sum(p <= 0.05 for p in found) <= 6  # 2 are expected; 7 or more come once in 300


def test_a_shifted_mean_is_found_and_its_auc_is_that_of_the_shift() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(0, 1, (300, 3)), rng.normal([1, 0, 0], 1, (300, 3))
    found = compare(left, right, seed=0)
    assert found.p_value <= 0.001
    assert found.auc == pytest.approx(0.76, abs=0.04)  # of two unit normals one apart: Phi(1 / sqrt 2)


def test_jpeg_history_is_found_arm_by_arm(arms: AuditInput) -> None:
    _, (*_, clean) = prepare(arms)
    _, (*_, found) = prepare(_changed(arms, "synthetic", _compressed))
    assert (clean.name, clean.status.value) == ("arms.jpeg_history", "not_detected")
    assert (found.status.value, found.reason) == ("detected", "not compressed as train: synthetic")
    assert found.value is not None
    assert found.value > 0.9


@pytest.mark.parametrize("change", ["brighter", "smoother", "moved by a pixel"])
def test_what_is_no_compression_is_not_called_so(arms: AuditInput, change: str) -> None:
    _, (*_, found) = prepare(_changed(arms, "synthetic", OTHER_SOURCES[change]))
    assert found.status.value == "not_detected"


def test_a_grid_is_found_by_place_not_by_edges() -> None:
    rng = np.random.default_rng(2)
    smooth = ndimage.gaussian_filter(rng.normal(0, 1, (20, 64, 64)), (0, 2, 2)).astype(np.float32)
    steps = np.arange(64) // 8 % 2 * 0.1
    edge = smooth + (np.arange(64) >= 32) * 0.3
    assert grid_strength((smooth + steps).astype(np.float32)).mean() > 0.5
    assert abs(grid_strength(edge.astype(np.float32)).mean()) < 0.03
    assert grid_strength(np.zeros((3, 8, 8), np.float32)).tolist() == [0, 0, 0]
