"""The study of augmentation: what it cuts, adds, measures and keeps. How well anything does is not tested here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from audits.bench.network import fit_network
from generators.data import ImageSet
from tests.benchmarks.generators import augmentation_arms as arms
from tests.benchmarks.generators.augmentation import main, report

APP = typer.Typer()
APP.command()(main)
STUDY = arms.Study(
    data="a", rare="b", generator="c", epsilon=8, n_rare=50, n_each=30, drawn="rare", specificity=0.9, size=16, cap=0,
    public="phantoms", settings=(), copies=True,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def short_judges() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(arms.JUDGES, "network", partial(fit_network, n_steps=5))
        patch.delitem(arms.JUDGES, "boosted")
        yield


@pytest.fixture
def cohort() -> ImageSet:
    """40 people with two images each: 20 all `often`, 20 of whom the second image is `rare`."""
    person = np.repeat(np.arange(40), 2)
    rare = (person < 20) & (np.arange(80) % 2 == 1)
    return ImageSet(
        images=np.full((80, 16, 16), 100, dtype=np.uint8),
        label=np.where(rare, "rare", "often"),
        subject=np.char.add("p", person.astype(str)),
    )


def test_cut_keeps_whole_people_and_every_image_of_others(cohort: ImageSet) -> None:
    cut = arms.cut_rare(cohort, "rare", 12, seed=0)
    assert np.asarray(cut.label).tolist().count("rare") == 12
    assert np.asarray(cut.label).tolist().count("often") == 12 + 40
    assert set(cut.subjects()) != set(arms.cut_rare(cohort, "rare", 12, seed=1).subjects())


def test_threshold_comes_from_the_control_part_alone() -> None:
    control, holdout = np.linspace(0, 1, 101), np.array([0.95, 0.5, 0.91, 0.89])
    is_rare = (np.zeros(101, dtype=bool), np.array([True, True, False, False]))
    found = arms.rates((control, holdout), is_rare, specificity=0.9)
    assert found == arms.Rates(sensitivity=0.5, specificity=0.5)


def test_copies_are_moved_and_never_leave_the_scale() -> None:
    rng = np.random.default_rng(0)
    pixels = np.asarray(rng.choice(np.array([0, 255]), (3, 16, 16)), dtype=np.uint8)
    copies = arms.shifted_copies(ImageSet(images=pixels, label=np.array(["a", "b", "c"])), 50, seed=0)
    assert copies.images.shape == (50, 16, 16)
    moves = [(down, right) for down in range(-1, 2) for right in range(-1, 2)]
    found = []
    for image, label in zip(copies.images, np.asarray(copies.label), strict=True):
        moved = [np.roll(pixels["abc".index(label)], move, axis=(0, 1)) for move in moves]
        likeness = [np.corrcoef(_inner(image), _inner(candidate))[0, 1] for candidate in moved]
        assert max(likeness) > 0.95
        found.append(moves[int(np.argmax(likeness))])
    assert len(set(found)) > 4


def _inner(image: NDArray[np.uint8 | np.uint16]) -> NDArray[np.uint8 | np.uint16]:
    return image[2:-2, 2:-2].ravel()


def test_report_pairs_each_arm_with_the_real_one() -> None:
    def outcome(real: float, both: float) -> arms.Outcome:
        return {
            arms.REAL: {arms.MEAN: arms.Rates(sensitivity=real, specificity=0.9)},
            arms.SYNTHETIC: {arms.MEAN: arms.Rates(sensitivity=both, specificity=0.8)},
        }

    table = report(STUDY, [outcome(0.5, 0.54), outcome(0.7, 0.76)])
    assert "| 60.0 | 65.0 | +5.0 (-7.7 to +17.7) | 90.0 | 80.0 | -10.0 (-10.0 to -10.0) |" in table


def test_a_split_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "augmentation.jsonl"
    asked = ["--data", "phantoms", "--out", str(out), "--seeds", "2", "--first-seed", "100", "--size", "16"]
    asked += ["--n-rare", "20", "--n-each", "20", "--drawn", "rare", "--copies", "--set", "detail=none"]
    first = CliRunner().invoke(APP, asked)
    assert first.exit_code == 0, first.stderr
    assert all(arm in first.stdout for arm in (arms.SYNTHETIC, arms.COPIES))
    monkeypatch.setattr(arms, "train_generator", None)
    assert CliRunner().invoke(APP, asked).stdout == first.stdout
    assert len(out.read_text().splitlines()) == 2
    assert CliRunner().invoke(APP, [*asked, "--n-each", "21"]).exit_code == 1
