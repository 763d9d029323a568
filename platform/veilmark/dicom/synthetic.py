"""Synthetic images as DICOM instances that say so themselves.

Secondary Capture Image Storage (PS3.3 A.8.1) with ConversionType SYN, SyntheticData YES (PS3.3 C.12.1, 0008,001C) and
the synthesising equipment (PS3.16 CID 7005: 109100, DCM). There is no PatientIdentityRemoved: no identity was there to
remove. Equal input gives equal bytes, so that a release can be written again and compared.
"""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from veilmark.dicom.base import DicomError, Pixels

_UIDS = uuid.UUID("9a0c7c0e-52e1-5a08-9d0e-6a1f6f1f3f8b")  # the name space of every UID made here, never to change
_IMPLEMENTATION = UID("2.25.204753418650271536893024457130582091741")
_DATE = re.compile(r"|\d{8}")


@dataclass(frozen=True, kw_only=True)
class SyntheticInstance:
    """What an instance says besides its pixels.

    release, index: give the UIDs and the invented PatientID, fresh for each pair and the same for an equal one.
    generator, version: the equipment. mark: the id in the pixels' watermark, if any. sex: M, F, O or empty.
    description: what the image shows (SeriesDescription). made_on: YYYYMMDD, or empty where it shall not be told.
    comment: ImageComments, up to 10,240 characters; the publisher's canonical metadata stands there.
    """

    release: str
    index: int
    generator: str
    version: str
    mark: str = ""
    sex: str = ""
    description: str = ""
    made_on: str = ""
    comment: str = ""

    def __post_init__(self) -> None:
        problems = {
            "release": not self.release,
            "index": self.index < 0,
            "generator": not self.generator,
            "sex": self.sex not in {"", "M", "F", "O"},
            "made_on": not _DATE.fullmatch(self.made_on),
        }
        for field in self.__dataclass_fields__:
            value = getattr(self, field)
            if problems.get(field) or (isinstance(value, str) and not _fits(field, value)):
                raise DicomError(f"is {value!r}", where=field, remedy="see SyntheticInstance for what it may hold")


def _fits(field: str, value: str) -> bool:
    """Short texts hold no backslash, which separates values; a comment is one long text and may (PS3.5 6.2, LT)."""
    return len(value) <= 10_240 if field == "comment" else len(value) <= 64 and "\\" not in value


def write_synthetic(path: Path, pixels: Pixels, instance: SyntheticInstance) -> None:
    """Write `pixels` (uint8 [H,W] or [H,W,3], or uint16 0..4095 [H,W]; white is dense) to `path`, whole or not at all.

    Raises DicomError for other pixels, and where the file cannot be written.
    """
    dataset = _general(instance)
    _add_pixels(dataset, pixels)
    dataset.file_meta = _file_meta(dataset)
    try:
        _write_whole(path, dataset)
    except OSError as error:
        raise DicomError(f"cannot be written ({error.strerror})", where=str(path), remedy="check the folder") from error


def _write_whole(path: Path, dataset: Dataset) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            dataset.save_as(file, enforce_file_format=True)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # a synthetic image is made to be read
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _general(instance: SyntheticInstance) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = _uid(instance, "instance")
    dataset.SyntheticData = "YES"
    dataset.ConversionType = "SYN"
    dataset.Modality = "OT"
    dataset.ContentQualification = "RESEARCH"
    dataset.BurnedInAnnotation = "NO"
    dataset.RecognizableVisualFeatures = "NO"
    dataset.DerivationDescription = f"Synthetic image, no acquisition of a person. Generator {instance.generator}." + (
        f" Mark {instance.mark}." if instance.mark else ""
    )
    dataset.ContributingEquipmentSequence = [_equipment(instance)]
    dataset.PatientName = "SYNTHETIC^IMAGE"
    dataset.PatientID = f"SYN-{uuid.uuid5(_UIDS, f'{instance.release}/{instance.index}/patient').hex[:16].upper()}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = instance.sex
    dataset.StudyInstanceUID = _uid(instance, "study")
    dataset.SeriesInstanceUID = _uid(instance, "series")
    dataset.StudyDate = dataset.ContentDate = instance.made_on
    dataset.StudyTime = dataset.ContentTime = ""
    dataset.ReferringPhysicianName = dataset.AccessionNumber = ""
    dataset.StudyID = "1"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.SeriesDescription = instance.description or "Synthetic"
    dataset.PatientOrientation = dataset.Laterality = ""
    if instance.comment:
        dataset.ImageComments = instance.comment
    return dataset


def _equipment(instance: SyntheticInstance) -> Dataset:
    purpose = Dataset()
    purpose.CodeValue = "109100"
    purpose.CodingSchemeDesignator = "DCM"
    purpose.CodeMeaning = "Synthesizing Equipment"
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [purpose]
    equipment.Manufacturer = "Veilmark"
    equipment.ManufacturerModelName = instance.generator
    equipment.SoftwareVersions = instance.version
    equipment.ContributionDescription = f"Sampled from a generator for release {instance.release}"
    return equipment


def _add_pixels(dataset: Dataset, pixels: Pixels) -> None:
    deep, colour = pixels.dtype == np.uint16, pixels.ndim == 3
    shape_fits = pixels.ndim == 2 or (colour and pixels.shape[2] == 3 and not deep)
    if not shape_fits or pixels.dtype not in (np.uint8, np.uint16) or not 0 < pixels.size <= 2**28:
        raise DicomError(
            f"are {pixels.dtype} {list(pixels.shape)}",
            where="pixels",
            remedy="give uint8 [H,W] or [H,W,3], or uint16 [H,W]",
        )
    if deep and int(pixels.max()) > 4095:
        raise DicomError(f"reach {int(pixels.max())}", where="pixels", remedy="scale them to 0..4095")
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 16 if deep else 8
    dataset.BitsStored = 12 if deep else 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0
    if not colour:
        dataset.WindowCenter, dataset.WindowWidth = (2048, 4096) if deep else (128, 256)
    dataset.add_new("PixelData", "OW" if deep else "OB", _even(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()))


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "VEILMARK_1"
    return meta


def _uid(instance: SyntheticInstance, level: str) -> str:
    """A UID under 2.25 from a UUID (PS3.5 B.2), derived so that equal input gives an equal one."""
    return f"2.25.{uuid.uuid5(_UIDS, f'{instance.release}/{instance.index}/{level}').int}"


def _even(content: bytes) -> bytes:
    return content + b"\0" * (len(content) % 2)
