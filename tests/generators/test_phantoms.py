import tomllib
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from generators.base import ConfigError
from generators.phantoms import LABELS, SITES, draw_phantoms, write_phantom_cohort
from generators.tables import read_cohort, resize_images


def test_phantoms_repeat_by_seed_and_only_by_seed() -> None:
    first, again, other = (draw_phantoms(n_subjects=5, size=32, seed=seed).images for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest


@pytest.mark.parametrize("size", [64, 100, 256])
@pytest.mark.parametrize(("bit_depth", "dtype", "white"), [(8, np.uint8, 255), (12, np.uint16, 4095)])
def test_sizes_and_depths(size: int, bit_depth: int, dtype: type, white: int) -> None:
    images = draw_phantoms(n_subjects=2, size=size, bit_depth=bit_depth).images
    assert images.images.shape[1:] == (size, size)
    assert images.images.dtype == dtype
    assert white * 0.6 < images.images.max() <= white
    assert images.max_value == white


def test_known_factors_stay_with_the_person() -> None:
    cohort = draw_phantoms(n_subjects=60, size=32, max_images=4)
    images = cohort.images
    columns = dict(images.columns())
    for subject in np.unique(columns["subject"]):
        own = columns["subject"] == subject
        assert len(set(columns["sex"][own])) == len(set(columns["site"][own])) == len(set(cohort.ages[own])) == 1
    assert set(columns["site"]) == set(SITES)
    assert 18 <= cohort.ages.min() <= cohort.ages.max() <= 95


def test_visits_of_one_person_are_nearer_than_two_people() -> None:
    images = draw_phantoms(n_subjects=40, size=32, max_images=3, labels=("normal",), seed=3).images
    pixels = images.images.reshape(len(images), -1).astype(float)
    distance = np.linalg.norm(pixels[:, None] - pixels[None], axis=2)
    same = images.subjects()[:, None] == images.subjects()[None]
    apart = ~np.eye(len(images), dtype=bool)
    assert np.median(distance[same & apart]) < 0.95 * np.median(distance[~same])


def test_findings_can_be_learned_but_not_trivially() -> None:
    images = resize_images(draw_phantoms(n_subjects=700, size=64, seed=5, max_images=1).images, 24)
    pixels, positive = images.images.reshape(len(images), -1) / 255.0, images.label != "normal"
    classifier = LogisticRegression(C=0.02, max_iter=500).fit(pixels[:500], positive[:500])
    score = roc_auc_score(positive[500:], classifier.predict_proba(pixels[500:])[:, 1])
    assert 0.58 < score < 0.95


def test_a_written_cohort_reads_back(tmp_path: Path) -> None:
    cohort = write_phantom_cohort(tmp_path, n_subjects=6, size=32)
    mapping = tomllib.loads((tmp_path / "mapping.toml").read_text())
    assert set(mapping["label"]["positive"]) == set(LABELS) - {"normal"}
    read = read_cohort(
        tmp_path / "images.npz", tmp_path / "metadata.csv", label="label", subject="subject", sex="sex", age="age"
    )
    assert np.array_equal(read.images, cohort.images.images)
    for name in ("label", "subject", "sex", "age_group"):
        assert np.array_equal(getattr(read, name), getattr(cohort.images, name)), name


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"n_subjects": 0}, id="nobody"),
        pytest.param({"size": 8}, id="too small"),
        pytest.param({"bit_depth": 16}, id="depth"),
        pytest.param({"labels": ("cat",)}, id="label"),
        pytest.param({"labels": ()}, id="no label"),
    ],
)
def test_impossible_phantoms_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        draw_phantoms(**({"n_subjects": 2, "size": 32} | wrong))
