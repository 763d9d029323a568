"""Written instances: they say that they are synthetic, repeat to the byte, and pass a checker we did not write."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from veilmark.dicom.base import DicomError
from veilmark.dicom.codes import RandomCodes
from veilmark.dicom.folder import read_folder
from veilmark.dicom.synthetic import SyntheticInstance, write_synthetic

INSTANCE = SyntheticInstance(
    release="rel-7", index=3, generator="latent-statistics", version="0.1.0", mark="ab12", sex="F", made_on="20260102"
)
RANDOM = np.random.default_rng(0)
PIXELS = {
    "8 bit": RANDOM.integers(0, 256, (33, 31), dtype=np.uint8),
    "12 bit": RANDOM.integers(0, 4096, (32, 48), dtype=np.uint16),
    "colour": RANDOM.integers(0, 256, (31, 31, 3), dtype=np.uint8),
}
all_kinds = pytest.mark.parametrize("pixels", PIXELS.values(), ids=PIXELS.keys())


@all_kinds
def test_pixels_come_back(tmp_path: Path, pixels: np.ndarray) -> None:
    write_synthetic(tmp_path / "a.dcm", pixels, INSTANCE)
    assert np.array_equal(pydicom.dcmread(tmp_path / "a.dcm").pixel_array, pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.dcm"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pixels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_any_shape_comes_back(tmp_path: Path, pixels: np.ndarray) -> None:
    write_synthetic(tmp_path / "a.dcm", pixels, INSTANCE)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert np.array_equal(dataset.pixel_array, pixels)


def test_full_range_survives_intake(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "a.dcm", PIXELS["8 bit"], INSTANCE)
    (image,) = read_folder(tmp_path, codes=RandomCodes()).images
    assert np.array_equal(image.pixels, PIXELS["8 bit"])


def test_it_says_that_it_is_synthetic(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "a.dcm", PIXELS["8 bit"], INSTANCE)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert dataset[0x0008001C].value == "YES"
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY"]
    assert (dataset.ConversionType, dataset.ContentQualification) == ("SYN", "RESEARCH")
    assert dataset.BurnedInAnnotation == "NO"
    assert "Synthetic" in dataset.DerivationDescription
    assert "ab12" in dataset.DerivationDescription
    (equipment,) = dataset.ContributingEquipmentSequence
    (purpose,) = equipment.PurposeOfReferenceCodeSequence
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109100", "DCM")
    assert equipment.ManufacturerModelName == "latent-statistics"
    assert "PatientIdentityRemoved" not in dataset
    assert dataset.PatientID.startswith("SYN-")
    assert (dataset.PatientSex, dataset.StudyDate) == ("F", "20260102")


@all_kinds
def test_equal_input_gives_equal_bytes(tmp_path: Path, pixels: np.ndarray) -> None:
    write_synthetic(tmp_path / "a.dcm", pixels, INSTANCE)
    write_synthetic(tmp_path / "b.dcm", pixels.copy(), replace(INSTANCE))
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


def test_uids_are_fresh_for_each_image_and_valid(tmp_path: Path) -> None:
    seen: list[str] = []
    for release, index in (("rel-7", 0), ("rel-7", 1), ("rel-8", 0)):
        write_synthetic(tmp_path / "a.dcm", PIXELS["8 bit"], replace(INSTANCE, release=release, index=index))
        dataset = pydicom.dcmread(tmp_path / "a.dcm")
        uids = [dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID]
        assert all(uid.is_valid for uid in uids)
        seen += [*uids, dataset.PatientID]
    assert len(set(seen)) == len(seen)


BAD_PIXELS = {
    "floats": np.zeros((8, 8)),
    "signed": np.zeros((8, 8), np.int16),
    "a stack": np.zeros((2, 8, 8), np.uint8),
    "four channels": np.zeros((8, 8, 4), np.uint8),
    "deep colour": np.zeros((8, 8, 3), np.uint16),
    "none": np.zeros((0, 8), np.uint8),
    "above 4095": np.full((8, 8), 4096, np.uint16),
}


@pytest.mark.parametrize("pixels", BAD_PIXELS.values(), ids=BAD_PIXELS.keys())
def test_bad_pixels_leave_no_file(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(DicomError, match="pixels"):
        write_synthetic(tmp_path / "a.dcm", pixels, INSTANCE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [{"release": ""}, {"index": -1}, {"sex": "X"}, {"made_on": "2026"}, {"generator": "a\\b"}, {"mark": "x" * 65}],
    ids=lambda change: next(iter(change)),
)
def test_bad_instances_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(DicomError, match=next(iter(change))):
        replace(INSTANCE, **change)  # type: ignore[arg-type]


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DicomError, match="cannot be written"):
        write_synthetic(tmp_path / "nowhere" / "a.dcm", PIXELS["8 bit"], INSTANCE)


@all_kinds
def test_dciodvfy_finds_no_error(
    tmp_path: Path, require_program: Callable[[str, str], Path], pixels: np.ndarray
) -> None:
    dciodvfy = require_program("dciodvfy", "dicom3tools")
    write_synthetic(tmp_path / "a.dcm", pixels, INSTANCE)
    found = subprocess.run([dciodvfy, tmp_path / "a.dcm"], capture_output=True, text=True, check=False).stderr
    assert "SCImage" in found
    errors = [line for line in found.splitlines() if line.startswith("Error")]
    # SyntheticData came into the standard in 2023; the checker in Debian 12 knows that of 2022
    assert [line for line in errors if "(0x0008,0x001c)" not in line] == []
