"""A folder of DICOM files as a cohort: metadata from the headers, pixels through modality and VOI LUT."""

from __future__ import annotations

from pathlib import Path

from veilmark.cohorts.mapping import CohortMapping
from veilmark.cohorts.source import IntakeError, Progress, SourceCohort, stack_images
from veilmark.dicom.base import DicomImage
from veilmark.dicom.codes import RandomCodes
from veilmark.dicom.folder import of_one_shape, read_folder

# The words a mapping may use for columns of a DICOM cohort: what de-identified reading keeps of a header.
HEADER_COLUMNS = ("subject", "study", "series", "sex", "age", "view", "modality", "body_part", "site")


def read_dicom_source(folder: Path, mapping: CohortMapping, progress: Progress) -> SourceCohort:
    """Every usable file below `folder`; the others are listed with their reasons. Raises IntakeError, DicomError.

    Grey values pass their LUTs into the whole range of the mapping's bits, so white is declared and BitsStored, which
    the LUTs have used up by then, decides nothing.
    """
    unknown = sorted(set(mapping.columns.values()) - set(HEADER_COLUMNS))
    if unknown:
        raise IntakeError(
            f"no {unknown[0]!r} in DICOM headers", where="mapping", remedy=f"use {', '.join(HEADER_COLUMNS)}"
        )
    reading = of_one_shape(read_folder(folder, codes=RandomCodes(), bit_depth=mapping.bits or 8, progress=progress))
    if not reading.images:
        reasons = sorted({refused.reason for refused in reading.refused})
        raise IntakeError(
            "holds zero usable images", where=folder.name, remedy=reasons[0] if reasons else "give DICOM files"
        )
    names = tuple(f"{image.file}#{image.frame}" for image in reading.images)
    columns = mapping.with_merged_labels(
        {role: _column(reading.images, name) for role, name in mapping.columns.items()}
    )
    return SourceCohort(
        kind="dicom",
        names=names,
        images=stack_images(names, [image.pixels for image in reading.images]),
        columns=columns,
        left_out=tuple(f"{refused.file}: {refused.reason}" for refused in reading.refused),
        bits=mapping.bits,
    )


def _column(images: tuple[DicomImage, ...], name: str) -> tuple[str, ...]:
    values = (getattr(image, name) for image in images)
    return tuple("" if value is None else str(value) for value in values)
