"""Makes DICOM files of a person who never was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

WriteFile = Callable[..., Path]


def dataset_of(pixels: NDArray[np.generic], **elements: object) -> Dataset:
    """A grey or colour instance; an element given as None is left out, any other is set."""
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.PatientID, dataset.PatientName = "P-4711", "Nobody^Norma"
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["study"])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", repr(elements)])
    dataset.PatientSex, dataset.PatientAge, dataset.Modality = "F", "045Y", "CR"
    dataset.Manufacturer, dataset.ViewPosition, dataset.BodyPartExamined = "ACME", "PA", "CHEST"
    bits = pixels.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = pixels.shape[-2:] if pixels.shape[-1] != 3 else pixels.shape[-3:-1]
    dataset.SamplesPerPixel = 3 if pixels.shape[-1] == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.shape[-1] == 3 else "MONOCHROME2"
    if pixels.shape[-1] == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.add_new("PixelData", "OW", pixels.tobytes() + b"\0" * (pixels.nbytes % 2))
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


@pytest.fixture(scope="session")
def write_dicom() -> Callable[..., None]:
    """`write_dicom(path, pixels, Keyword=value, ...)`; without pixels a ramp of 8 x 8."""

    def write(
        path: Path,
        pixels: NDArray[np.generic] | None = None,
        transfer_syntax: str = ExplicitVRLittleEndian,
        **elements: object,
    ) -> None:
        ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
        dataset = dataset_of(ramp if pixels is None else pixels, **elements)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = transfer_syntax
        dataset.save_as(path, enforce_file_format=True)

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


@pytest.fixture
def write_file(folder: Path, write_dicom: Callable[..., None]) -> WriteFile:
    """`write_dicom` by name in `folder`; gives the path."""

    def write(name: str, *pixels: NDArray[np.generic], **options: object) -> Path:
        write_dicom(folder / name, *pixels, **options)
        return folder / name

    return write
