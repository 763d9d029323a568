"""Synthetic images as DICOM instances that say so themselves.

SyntheticData YES (PS3.3 C.12.1, 0008,001C) and the synthesising equipment (PS3.16 CID 7005: 109100, DCM) stand in an
information object of the declared modality (`kinds`), by default a secondary capture with ConversionType SYN. There is
no PatientIdentityRemoved: no identity was there to remove. Equal input gives equal bytes, so that a release can be
written again and compared.
"""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from veilmark.dicom.base import DicomError, Pixels
from veilmark.dicom.kinds import ImageKind, bits_of, kind_of
from veilmark.dicom.stored_pixels import add_overlay, add_pixels, check_pixels

_UIDS = uuid.UUID("9a0c7c0e-52e1-5a08-9d0e-6a1f6f1f3f8b")  # the name space of every UID made here, never to change
MANUFACTURER = "Veilmark"
_IMPLEMENTATION = UID("2.25.204753418650271536893024457130582091741")
_DATE = re.compile(r"|\d{8}")
_MODALITY = re.compile(r"[A-Z0-9]{2,16}")


@dataclass(frozen=True, kw_only=True)
class SyntheticInstance:
    """What an instance says besides its pixels.

    release, index: give the UIDs and the invented PatientID, fresh for each pair and the same for an equal one.
    generator, version: the equipment. mark: the id in the pixels' watermark, if any. sex: M, F, O or empty.
    description: what the image shows (SeriesDescription). made_on: YYYYMMDD, or empty where it shall not be told.
    comment: ImageComments, up to 10,240 characters; the publisher's canonical metadata stands there.
    modality: the cohort's (CR, DX, CT, MR, US, XC ...); it chooses the information object. bits: stored; 0 is 8 for
    uint8 and 12 for uint16. burned_in: a visible label is part of the pixels.
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
    modality: str = "OT"
    bits: int = 0
    burned_in: bool = False

    def __post_init__(self) -> None:
        problems = {
            "release": not self.release,
            "index": self.index < 0,
            "generator": not self.generator,
            "sex": self.sex not in {"", "M", "F", "O"},
            "made_on": not _DATE.fullmatch(self.made_on),
            "modality": not _MODALITY.fullmatch(self.modality),
        }
        for field in self.__dataclass_fields__:
            value = getattr(self, field)
            if problems.get(field) or (isinstance(value, str) and not _fits(field, value)):
                raise DicomError(f"is {value!r}", where=field, remedy="see SyntheticInstance for what it may hold")


def _fits(field: str, value: str) -> bool:
    """Short texts hold no backslash, which separates values; a comment is one long text and may (PS3.5 6.2, LT)."""
    return len(value) <= 10_240 if field == "comment" else len(value) <= 64 and "\\" not in value


def write_synthetic(
    path: Path, pixels: Pixels, instance: SyntheticInstance, *, overlay: NDArray[np.bool_] | None = None
) -> None:
    """Write `pixels` (uint8 [H,W] or [H,W,3], or uint16 [H,W]; white is dense) to `path`, whole or not at all.

    `overlay` [H,W] becomes an overlay plane (60xx). Where the modality's information object cannot hold such pixels, it
    is a secondary capture of that modality. Raises DicomError for other pixels, and where the file cannot be written.
    """
    bits = bits_of(pixels, instance.bits)
    check_pixels(pixels, bits)
    kind = kind_of(instance.modality, bits=bits, colour=pixels.ndim == 3)
    dataset = _general(instance, kind)
    add_pixels(dataset, pixels, kind=kind, bits=bits)
    if overlay is not None:
        add_overlay(dataset, overlay)
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


def _general(instance: SyntheticInstance, kind: ImageKind) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["DERIVED", "SECONDARY", *([kind.image_type] if kind.image_type else [])]
    dataset.SOPClassUID = kind.sop_class
    dataset.SOPInstanceUID = _uid(instance, "instance")
    dataset.Modality = instance.modality
    dataset.Manufacturer = MANUFACTURER
    dataset.PatientName = "SYNTHETIC^IMAGE"
    dataset.PatientID = f"SYN-{uuid.uuid5(_UIDS, f'{instance.release}/{instance.index}/patient').hex[:16].upper()}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = instance.sex
    dataset.StudyInstanceUID = _uid(instance, "study")
    dataset.SeriesInstanceUID = _uid(instance, "series")
    dataset.StudyDate = instance.made_on
    dataset.StudyTime = ""
    dataset.ReferringPhysicianName = dataset.AccessionNumber = ""
    dataset.StudyID = "1"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.SeriesDescription = instance.description or "Synthetic"
    for keyword, value in kind.elements.items():
        setattr(dataset, keyword, value)
    if "PositionReferenceIndicator" in kind.elements:
        dataset.FrameOfReferenceUID = _uid(instance, "frame of reference")
    _label(dataset, instance, kind)
    return dataset


def _label(dataset: Dataset, instance: SyntheticInstance, kind: ImageKind) -> None:
    """All by which an instance says what it is."""
    dataset.SyntheticData = "YES"
    dataset.ContentQualification = "RESEARCH"
    dataset.BurnedInAnnotation = "YES" if instance.burned_in else "NO"
    dataset.RecognizableVisualFeatures = "NO"
    # The one date is that of making, and it is nobody's: it was left out or it is as it was (C.12.1).
    dataset.LongitudinalTemporalInformationModified = "UNMODIFIED" if instance.made_on else "REMOVED"
    sentences = [f"Synthetic image, no acquisition of a person. Generator {instance.generator}."]
    sentences += [f"Mark {instance.mark}."] if instance.mark else []
    sentences += [kind.note] if kind.note else []
    dataset.DerivationDescription = " ".join(sentences)
    dataset.ContributingEquipmentSequence = [_equipment(instance)]
    if instance.comment:
        dataset.ImageComments = instance.comment


def _equipment(instance: SyntheticInstance) -> Dataset:
    purpose = Dataset()
    purpose.CodeValue = "109100"
    purpose.CodingSchemeDesignator = "DCM"
    purpose.CodeMeaning = "Synthesizing Equipment"
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [purpose]
    equipment.Manufacturer = MANUFACTURER
    equipment.ManufacturerModelName = instance.generator
    equipment.SoftwareVersions = instance.version
    equipment.ContributionDescription = f"Sampled from a generator for release {instance.release}"
    return equipment


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
