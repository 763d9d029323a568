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
from veilmark.dicom.kinds import KINDS
from veilmark.dicom.synthetic import SyntheticInstance, write_synthetic

INSTANCE = SyntheticInstance(
    release="rel-7", index=3, generator="latent-statistics", version="0.1.0", mark="ab12", sex="F", made_on="20260102"
)
RANDOM = np.random.default_rng(0)
PIXELS = {
    "8 bit": RANDOM.integers(0, 256, (33, 31), dtype=np.uint8),
    "12 bit": RANDOM.integers(0, 4096, (32, 48), dtype=np.uint16),
    "16 bit": RANDOM.integers(0, 65536, (31, 33), dtype=np.uint16),
    "colour": RANDOM.integers(0, 256, (31, 31, 3), dtype=np.uint8),
}
BITS = {"8 bit": 8, "12 bit": 12, "16 bit": 16, "colour": 8}
all_kinds = pytest.mark.parametrize("kind", PIXELS)


def write(path: Path, kind: str, **changes: object) -> pydicom.FileDataset:
    write_synthetic(path, PIXELS[kind], replace(INSTANCE, bits=BITS[kind], **changes))  # type: ignore[arg-type]
    return pydicom.dcmread(path)


@all_kinds
@pytest.mark.parametrize("modality", [*KINDS, "MG"])
def test_pixels_come_back(tmp_path: Path, kind: str, modality: str) -> None:
    dataset = write(tmp_path / "a.dcm", kind, modality=modality)
    assert np.array_equal(dataset.pixel_array, PIXELS[kind])
    assert (dataset.Modality, dataset.BitsStored) == (modality, BITS[kind])
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
    assert (dataset.BurnedInAnnotation, dataset.RecognizableVisualFeatures) == ("NO", "NO")
    assert dataset.LongitudinalTemporalInformationModified == "UNMODIFIED"
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
def test_equal_input_gives_equal_bytes(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a.dcm", kind)
    write(tmp_path / "b.dcm", kind)
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
    "above 4095, of 12 bits": np.full((8, 8), 4096, np.uint16),
}


@pytest.mark.parametrize("pixels", BAD_PIXELS.values(), ids=BAD_PIXELS.keys())
def test_bad_pixels_leave_no_file(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(DicomError, match="pixels"):
        write_synthetic(tmp_path / "a.dcm", pixels, INSTANCE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"release": ""},
        {"index": -1},
        {"sex": "X"},
        {"made_on": "2026"},
        {"generator": "a\\b"},
        {"mark": "x" * 65},
        {"modality": "ct"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_bad_instances_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(DicomError, match=next(iter(change))):
        replace(INSTANCE, **change)  # type: ignore[arg-type]


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DicomError, match="cannot be written"):
        write_synthetic(tmp_path / "nowhere" / "a.dcm", PIXELS["8 bit"], INSTANCE)


def test_depth_must_fit_the_type(tmp_path: Path) -> None:
    with pytest.raises(DicomError, match=r"uint8 .* of 12 bits"):
        write_synthetic(tmp_path / "a.dcm", PIXELS["8 bit"], replace(INSTANCE, bits=12))


CHOSEN = [
    ("CR", "12 bit", "ComputedRadiographyImageStorage", []),
    ("DX", "8 bit", "DigitalXRayImageStorageForPresentation", []),
    ("CT", "12 bit", "CTImageStorage", ["AXIAL"]),
    ("CT", "8 bit", "SecondaryCaptureImageStorage", []),
    ("MR", "8 bit", "MRImageStorage", ["OTHER"]),
    ("MR", "colour", "SecondaryCaptureImageStorage", []),
    ("US", "colour", "UltrasoundImageStorage", []),
    ("US", "12 bit", "SecondaryCaptureImageStorage", []),
    ("XC", "colour", "VLPhotographicImageStorage", []),
    ("MG", "12 bit", "SecondaryCaptureImageStorage", []),
]


@pytest.mark.parametrize(("modality", "kind", "storage", "value_3"), CHOSEN)
def test_the_modality_chooses_the_object(
    tmp_path: Path, modality: str, kind: str, storage: str, value_3: list[str]
) -> None:
    dataset = write(tmp_path / "a.dcm", kind, modality=modality)
    assert dataset.SOPClassUID.keyword == storage
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", *value_3]
    is_nominal = "nominal" in dataset.DerivationDescription
    assert is_nominal == ("PixelSpacing" in dataset or "ImagerPixelSpacing" in dataset)
    assert ("Hounsfield" in dataset.DerivationDescription) == ("RescaleType" in dataset and modality == "CT")


def test_an_overlay_comes_back(tmp_path: Path) -> None:
    mask = RANDOM.random(PIXELS["8 bit"].shape) < 0.3
    write_synthetic(tmp_path / "a.dcm", PIXELS["8 bit"], INSTANCE, overlay=mask)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert np.array_equal(dataset.overlay_array(0x6000), mask)
    assert np.array_equal(dataset.pixel_array, PIXELS["8 bit"])
    with pytest.raises(DicomError, match="overlay"):
        write_synthetic(tmp_path / "a.dcm", PIXELS["8 bit"], INSTANCE, overlay=mask.T)


@all_kinds
@pytest.mark.parametrize("modality", KINDS)
@pytest.mark.parametrize("labelled", [False, True], ids=["plain", "labelled"])
def test_dciodvfy_finds_no_error(
    tmp_path: Path, require_program: Callable[[str, str], Path], modality: str, kind: str, labelled: bool
) -> None:
    dciodvfy = require_program("dciodvfy", "dicom3tools")
    instance = replace(INSTANCE, bits=BITS[kind], modality=modality, burned_in=labelled, made_on="")
    overlay = np.ones(PIXELS[kind].shape[:2], bool) if labelled else None
    write_synthetic(tmp_path / "a.dcm", PIXELS[kind], instance, overlay=overlay)
    found = subprocess.run([dciodvfy, tmp_path / "a.dcm"], capture_output=True, text=True, check=False).stderr
    iod = {"XC": "VLPhotographicImage", "DX": "DXImageForPresentation", "OT": "SCImage"}.get(
        modality, f"{modality}Image"
    )
    assert iod in found or not KINDS[modality].holds(bits=BITS[kind], colour=kind == "colour")
    errors = [line for line in found.splitlines() if line.startswith("Error")]
    # SyntheticData came into the standard in 2023; the checker in Debian 12 knows that of 2022
    assert [line for line in errors if "(0x0008,0x001c)" not in line] == []


def test_dcmdump_reads_every_kind(tmp_path: Path, require_program: Callable[[str, str], Path]) -> None:
    dcmdump = require_program("dcmdump", "dcmtk")
    for modality in KINDS:
        write(tmp_path / f"{modality}.dcm", "colour" if modality == "XC" else "12 bit", modality=modality)
    files = sorted(tmp_path.iterdir())
    found = subprocess.run([dcmdump, "+P", "BurnedInAnnotation", *files], capture_output=True, text=True, check=True)
    assert found.stdout.count("[NO]") == len(KINDS) == 7
    assert found.stderr == ""
