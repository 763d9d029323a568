"""Marking and finding marks. `make bench` prints medians; ratios are of one run on one machine."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from generators.phantoms import draw_phantoms
from veilmark.provenance.watermark import MarkId, detect_mark, mark_images, version_for


@pytest.fixture(scope="module", params=[64, 128])
def images(request: pytest.FixtureRequest) -> NDArray[np.generic]:
    return draw_phantoms(n_subjects=64, size=request.param, seed=7, max_images=1).images.images


def drawn_for(image: NDArray[np.generic]) -> MarkId:
    return MarkId.draw(1, version_for(*image.shape[:2]))


def test_mark_a_batch(benchmark: BenchmarkFixture, images: NDArray[np.generic]) -> None:
    ids = [drawn_for(image) for image in images]
    marked = benchmark(mark_images, images, ids)
    assert marked.is_marked.all()


def test_find_the_mark_of_an_unmodified_image(benchmark: BenchmarkFixture, images: NDArray[np.generic]) -> None:
    marked = mark_images(images[:1], [drawn_for(images[0])]).images[0]
    assert benchmark(detect_mark, marked).stage == "direct"


def test_search_an_unmarked_image_in_full(benchmark: BenchmarkFixture, images: NDArray[np.generic]) -> None:
    assert not benchmark.pedantic(detect_mark, (images[0],), rounds=3).detected
