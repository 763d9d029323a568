"""Facts known of real data sets, and both verdicts on real chest X-rays. Skipped where the data is absent."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audits.base import AuditInput
from audits.checks import identical_to
from audits.registry import run_audits
from generators.data import ImageSet
from tests.audits.arms import noisy_copies

N_CHECKS = 3  # what every report says of the arms comes first
SHARED = Path(os.environ.get("VEILMARK_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def _load(name: str) -> tuple[np.ndarray, list[dict[str, str]]]:
    folder = SHARED / name
    if not (folder / "images.npz").is_file():
        pytest.skip(f"no {name}: set VEILMARK_SHARED_DATA to the folder that holds it")
    with (folder / "metadata.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with np.load(folder / "images.npz") as archive:
        return archive["images"], rows


@pytest.fixture(scope="module")
def chests() -> ImageSet:
    images, rows = _load("cxr_nih_1000")
    column = {name: np.array([row[name] for row in rows]) for name in ("repo_folder", "patient_id", "sex")}
    halved = images.reshape(len(images), 64, 2, 64, 2).mean(axis=(2, 4)).astype(np.uint8)
    return ImageSet(images=halved, label=column["repo_folder"], subject=column["patient_id"], sex=column["sex"])


@pytest.fixture(scope="module")
def arms(chests: ImageSet) -> AuditInput:
    """Half the patients train; others are holdout, control, and a synthetic set of patients never trained on."""
    names = np.random.default_rng(0).permutation(np.unique(chests.subjects()))
    parts = np.split(names, [len(names) // 2, len(names) * 7 // 10, len(names) * 17 // 20])
    train, holdout, control, others = (chests.select(np.isin(chests.subjects(), part)) for part in parts)
    return AuditInput(
        train=train, holdout=holdout, control=control, synthetic=noisy_copies(others, n=300, seed=0, scale=4)
    )


def test_two_x_rays_are_one_image_under_two_names(chests: ImageSet) -> None:
    _, rows = _load("cxr_nih_1000")
    at = {row["source_file"]: chests.select(np.array([i])) for i, row in enumerate(rows)}
    assert identical_to(at["00002658_001.png"], at["00002658_002.png"]).tolist() == [True]


def test_251_test_slices_of_the_brain_set_are_training_slices() -> None:
    images, rows = _load("brain_mri_tumor")
    split = np.array([row["split"] for row in rows])
    train, test = (ImageSet(images=images[split == name]) for name in ("train", "test"))
    assert (int(identical_to(train, test).sum()), len(test)) == (251, 394)
    report = run_audits(AuditInput(train=train, holdout=test, synthetic=train), only=["label_shares"])
    assert report.measurements[0].details["n_identical"] == {"holdout": 251}


def test_other_patients_are_not_taken_for_copies(arms: AuditInput) -> None:
    found = run_audits(arms, only=["nearest_copies", "membership_inference"]).measurements[N_CHECKS:]
    assert "detected" not in {m.status.value for m in found}, [m.reason for m in found]


def test_copies_of_x_rays_are_detected(arms: AuditInput) -> None:
    copies = replace(arms, synthetic=noisy_copies(arms.train, n=300, seed=1, scale=8))
    found = run_audits(copies, only=["nearest_copies", "membership_inference"]).measurements[N_CHECKS:]
    assert {m.status.value for m in found} == {"detected"}
    assert found[0].positive_control is not None
