"""The mark's own detection rate: found where it was put, missed where it was not, and never a pass by silence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audits.base import AuditError, AuditInput, Measurement, Status
from audits.files import read_marks
from audits.marks import MarkCount, MarkCounts
from audits.page import render_html
from audits.registry import list_audits, run_audits
from audits.report import Audience
from audits.stats import clopper_pearson
from generators.phantoms import draw_phantoms
from veilmark.provenance.watermark import MarkId, detect_mark, mark_images

N = 36
Pixels = NDArray[np.generic]


@pytest.fixture(scope="module")
def images() -> Pixels:
    return draw_phantoms(n_subjects=N, size=64, seed=8, max_images=1).images.images


def found_in(images: Pixels, ids: list[MarkId]) -> int:
    return sum(detect_mark(image).id == mark for image, mark in zip(images, ids, strict=True))


@pytest.fixture(scope="module")
def searched(images: Pixels) -> tuple[int, int]:
    """In how many marked images, and in how many unmarked ones, the detector finds a mark."""
    ids = [MarkId(release=1, random=i) for i in range(N)]
    marked = mark_images(images, ids).images
    return found_in(marked, ids), sum(detect_mark(image).detected for image in images)


def run(data: AuditInput, marks: MarkCounts | None) -> Mapping[str, Measurement]:
    return {m.name: m for m in list_audits()["mark_detection"].run(replace(data, marks=marks))}


def counted(n: int, found: int, *, wrong: int = 0, n_unmarked: int = 40, unmarked_found: int = 0) -> MarkCounts:
    count = MarkCount(transform="JPEG 75", n=n, found=found, wrong=wrong)
    return MarkCounts(transforms=(count,), n_unmarked=n_unmarked, unmarked_found=unmarked_found)


def test_marks_that_are_there_are_found_and_real_images_have_none(
    leak_free: AuditInput, searched: tuple[int, int]
) -> None:
    found, false = searched
    answers = run(leak_free, counted(N, found, n_unmarked=N, unmarked_found=false))
    assert {name: m.status for name, m in answers.items()} == {
        "mark_detection.jpeg_75": Status.NOT_DETECTED,
        "mark_detection.real_images": Status.NOT_DETECTED,
    }
    assert (answers["mark_detection.jpeg_75"].ci_low, 1.0) == clopper_pearson(N, N)
    assert answers["mark_detection.jpeg_75"].negative_control == 0


def test_a_set_without_marks_falls_short(leak_free: AuditInput, searched: tuple[int, int]) -> None:
    _, false = searched
    answers = run(leak_free, counted(N, false, n_unmarked=N))
    assert answers["mark_detection.jpeg_75"].status is Status.DETECTED
    assert answers["mark_detection.jpeg_75"].value == 0


@pytest.mark.parametrize(
    ("marks", "status", "said"),
    [
        pytest.param(counted(100, 97), "not_detected", "97 of 100", id="enough of a sample"),
        pytest.param(counted(100, 94), "no_power", "too few to tell", id="a sample on either side of the aim"),
        pytest.param(counted(100, 80), "detected", "90% are asked for", id="lost in a sample"),
        pytest.param(counted(200, 181), "not_detected", "181 of 200", id="all were tried, above"),
        pytest.param(counted(200, 179), "detected", "90% are asked for", id="all were tried, below"),
        pytest.param(counted(100, 99, wrong=1), "detected", "another image's mark", id="one took another's mark"),
        pytest.param(counted(100, 100, n_unmarked=0), "no_power", "not shown to be absent", id="no control"),
        pytest.param(counted(100, 100, n_unmarked=35), "no_power", "not shown to be absent", id="a small control"),
        pytest.param(
            counted(100, 100, unmarked_found=40), "no_power", "not shown to be absent", id="finds it anywhere"
        ),
    ],
)
def test_the_verdict_on_counts(leak_free: AuditInput, marks: MarkCounts, status: str, said: str) -> None:
    """Of 200 images, so that 100 are a sample and 200 are all."""
    data = replace(leak_free, synthetic=leak_free.synthetic.select(np.arange(200)))
    found = run(data, marks)["mark_detection.jpeg_75"]
    assert found.status == status
    assert said in found.reason


@pytest.mark.parametrize(
    ("marks", "status"),
    [
        (counted(9, 9, unmarked_found=1), "detected"),
        (counted(9, 9, n_unmarked=10), "no_power"),
        (counted(9, 9), "not_detected"),
    ],
)
def test_marks_in_real_images_are_told(leak_free: AuditInput, marks: MarkCounts, status: str) -> None:
    assert run(leak_free, marks)["mark_detection.real_images"].status == status


def test_without_a_detector_nothing_is_said(leak_free: AuditInput) -> None:
    (answer,) = run(leak_free, None).values()
    assert answer.status is Status.NOT_ASSESSABLE
    assert "detector" in answer.reason


def test_both_forms_have_a_row_for_each_change(leak_free: AuditInput) -> None:
    report = run_audits(replace(leak_free, marks=counted(100, 97)), only=["mark_detection"])
    for audience in Audience:
        page = render_html(report, audience)
        assert "Traceability: the mark in the images (jpeg 75)" in page
        assert "marks found in real images" in page
        assert "JPEG 75: 97 of 100 found" in page


BAD = {
    "not JSON": "{",
    "no list": '{"transforms": 3}',
    "none tried": '{"transforms": []}',
    "more found than tried": '{"transforms": [{"transform": "none", "n": 3, "found": 4}]}',
    "half an image": '{"transforms": [{"transform": "none", "n": 3, "found": 1.5}]}',
    "a word for a count": '{"transforms": [{"transform": "none", "n": "3", "found": 1}]}',
    "an unknown field": '{"transforms": [{"transform": "none", "n": 3, "found": 1, "share": 1}]}',
    "one change twice": json.dumps({"transforms": 2 * [{"transform": "none", "n": 3, "found": 1}]}),
    "more marks than real images": '{"transforms": [{"transform": "none", "n": 3, "found": 1}], "unmarked_found": 1}',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_counts_are_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "marks.json"
    path.write_text(text)
    with pytest.raises(AuditError, match="no counts of marks") as refused:
        read_marks(path)
    assert "\n" not in str(refused.value)


def test_counts_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    path.write_text('{"transforms": [{"transform": "JPEG 75", "n": 100, "found": 97}], "n_unmarked": 40}')
    assert read_marks(path) == counted(100, 97)
