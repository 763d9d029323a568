"""Training and sampling `latent-statistics`: the demo's generator at the demo's size."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from generators.base import CellCount
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator

BUDGET = PrivacyBudget(target_epsilon=8, public_n_subjects=400)
COUNTS = [CellCount(label=label, n=500) for label in ("normal", "opacity")]


@pytest.fixture(scope="module")
def cohort() -> ImageSet:
    return draw_phantoms(n_subjects=400, size=64, seed=1, max_images=3).images


def test_train_latent_statistics(benchmark: BenchmarkFixture, cohort: ImageSet, tmp_path: Path) -> None:
    numbers = count()

    def train() -> None:
        train_generator(name="latent-statistics", images=cohort, budget=BUDGET, out=tmp_path / str(next(numbers)))

    benchmark.pedantic(train, rounds=3)


def test_sample_a_thousand_images(benchmark: BenchmarkFixture, cohort: ImageSet, tmp_path: Path) -> None:
    train_generator(name="latent-statistics", images=cohort, budget=BUDGET, out=tmp_path / "run")
    drawn = benchmark.pedantic(sample_generator, (tmp_path / "run", COUNTS), rounds=3)
    assert len(drawn) == 1000
