"""Exact nearest neighbours by blocks against scikit-learn's brute force, in one run: the ratio is what counts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.neighbors import NearestNeighbors

from audits.neighbours import nearest


@pytest.fixture(scope="module")
def points() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((2000, 512), dtype=np.float32), rng.standard_normal((10_000, 512), dtype=np.float32)


@pytest.mark.benchmark(group="nearest of 10,000 for 2,000 queries in 512 dimensions")
def test_ours(benchmark: BenchmarkFixture, points: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
    queries, gallery = points
    benchmark(nearest, queries, gallery)


@pytest.mark.benchmark(group="nearest of 10,000 for 2,000 queries in 512 dimensions")
def test_scikit_learn(benchmark: BenchmarkFixture, points: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
    queries, gallery = points
    index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(gallery)
    benchmark(index.kneighbors, queries)
