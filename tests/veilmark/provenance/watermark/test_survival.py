"""A set may be released only where its marks bear the built-in attacks."""

from __future__ import annotations

import numpy as np
import pytest

from veilmark.provenance.errors import MarkError
from veilmark.provenance.watermark import MarkId, mark_images, mark_survival, survival
from veilmark.provenance.watermark.survival import MUST_SURVIVE, exact_interval


def ids(n: int) -> list[MarkId]:
    return [MarkId(release=3, random=50 + i) for i in range(n)]


@pytest.mark.parametrize(
    ("found", "n", "low", "high"),
    [
        pytest.param(0, 10, 0.0, 0.3085, id="none of ten"),
        pytest.param(5, 10, 0.1871, 0.8129, id="half of ten"),
        pytest.param(100, 100, 0.9638, 1.0, id="all of a hundred"),
        pytest.param(96, 100, 0.9007, 0.9890, id="four lost of a hundred"),
        pytest.param(1, 1, 0.025, 1.0, id="one of one"),
    ],
)
def test_the_interval_is_the_tabled_one(found: int, n: int, low: float, high: float) -> None:
    """Values as `scipy.stats.binomtest(found, n).proportion_ci(0.95, "exact")` gives them."""
    assert exact_interval(found, n) == pytest.approx((low, high), abs=5e-5)


def test_well_marked_images_pass_and_all_are_tried_when_few(make_textured) -> None:
    marked = mark_images(make_textured(6, 64, seed=21).astype(np.uint8), ids(6)).images
    result = mark_survival(marked, ids(6), seed=1)
    assert result.passes
    assert result.n_tried == result.n_images == 6
    assert [row.attack for row in result.attacks] == list(MUST_SURVIVE)
    assert all(row.found == row.n == 6 and row.low < row.least for row in result.attacks)


def test_a_sample_must_lie_above_by_its_whole_interval(make_textured, monkeypatch: pytest.MonkeyPatch) -> None:
    """All ten of a sample of ten are found; that shows no more than 69 %. Where all are tried, it shows all."""
    monkeypatch.setattr(survival, "SAMPLE", 10)
    monkeypatch.setattr(survival, "MUST_SURVIVE", {"none": 0.9})
    marked = mark_images(make_textured(12, 64, seed=22).astype(np.uint8), ids(12)).images
    sampled = mark_survival(marked, ids(12), n=10, seed=1)
    assert (sampled.n_tried, sampled.attacks[0].found, sampled.passes) == (10, 10, False)
    assert mark_survival(marked, ids(12), n=12, seed=1).passes


class Files:
    """Images that are read one by one, and what was read."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.read = images, []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> np.ndarray:
        self.read.append(row)
        return self.images[row]


def test_only_what_is_tried_is_read_and_once(make_textured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survival, "SAMPLE", 4)
    monkeypatch.setattr(survival, "MUST_SURVIVE", {"none": 0.9, "noise 2": 0.9})
    marked = mark_images(make_textured(9, 64, seed=25).astype(np.uint8), ids(9)).images
    files = Files(marked)
    assert mark_survival(files, ids(9), n=4, seed=3) == mark_survival(marked, ids(9), n=4, seed=3)
    assert len(files.read) == len(set(files.read)) == 4
    assert all(type(row) is int for row in files.read)


def test_images_without_marks_or_with_the_marks_of_others_fail(make_textured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survival, "MUST_SURVIVE", {"none": 0.95, "JPEG 75": 0.9})
    images = make_textured(3, 64, seed=23).astype(np.uint8)
    unmarked = mark_survival(images, ids(3), seed=1)
    assert not unmarked.passes
    assert all(row.found == row.wrong == 0 for row in unmarked.attacks)
    swapped = mark_survival(mark_images(images, ids(3)[::-1]).images, ids(3), seed=1)
    assert not swapped.passes
    assert all((row.found, row.wrong) == (1, 2) for row in swapped.attacks)


def test_sixteen_bit_images_are_tried_as_shown(make_textured) -> None:
    marked = mark_images(make_textured(2, 64, seed=24, maximum=4095), ids(2)).images
    assert mark_survival(marked, ids(2), seed=1).passes


@pytest.mark.parametrize(
    ("n_images", "n_ids", "n"),
    [
        pytest.param(0, 0, 100, id="no images"),
        pytest.param(2, 1, 100, id="fewer ids"),
        pytest.param(2, 2, 99, id="a smaller sample"),
    ],
)
def test_what_cannot_be_tried_is_refused(n_images: int, n_ids: int, n: int) -> None:
    with pytest.raises(MarkError):
        mark_survival(np.zeros((n_images, 64, 64), np.uint8), ids(n_ids), n=n, seed=1)
