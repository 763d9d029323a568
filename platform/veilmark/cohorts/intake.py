"""Reading what a custodian hands over: arrays or image files with a table, a zip of either, or DICOM files.

Everything is read before anything is kept: a source that cannot be used raises IntakeError and changes nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, UnidentifiedImageError

from generators.data import ImageSet
from veilmark.cohorts.archives import extract_zip
from veilmark.cohorts.dicom_intake import read_dicom_source
from veilmark.cohorts.mapping import CohortMapping
from veilmark.cohorts.source import IntakeError, Pixels, Progress, SourceCohort, stack_images

TABLE, ARRAYS = "metadata.csv", "images.npz"
# Pillow's modes that hold 8 bits a channel. Any other is refused: converting it would change values in silence.
GREY, COLOUR = {"1", "L", "LA"}, {"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}

Row = Mapping[str, str]


def read_source(path: Path, mapping: CohortMapping, *, scratch: Path, progress: Progress) -> SourceCohort:
    """Read a folder or a zip. `scratch` is a private folder of this site for what a zip holds.

    Raises IntakeError, MappingError or DicomError, each in one line.
    """
    if not path.exists():
        raise IntakeError("no such file or folder", where=str(path), remedy="check the path")
    try:
        with ExitStack() as stack:
            if path.is_file():
                folder = Path(stack.enter_context(TemporaryDirectory(dir=scratch)))
                path = extract_zip(path, folder)
            return _read_folder(path, mapping, progress)
    except OSError as error:
        raise IntakeError(
            f"cannot be read ({error.strerror})", where=path.name, remedy="check names, rights and free space"
        ) from error


def _read_folder(folder: Path, mapping: CohortMapping, progress: Progress) -> SourceCohort:
    if not (folder / TABLE).is_file():
        if {"image", "index"} & set(mapping.columns):
            raise IntakeError("is missing", where=TABLE, remedy="put it beside the images (DICOM needs none)")
        return read_dicom_source(folder, mapping, progress)
    rows = _read_table(folder / TABLE)
    _require_columns(rows[0], mapping)
    if (folder / ARRAYS).is_file():
        return _from_arrays(folder, rows, mapping)
    return _from_files(folder, rows, mapping, progress)


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(stream)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise IntakeError("is no CSV in UTF-8", where=TABLE, remedy="save it as CSV, UTF-8") from error
    if not rows:
        raise IntakeError("holds zero images", where=TABLE, remedy="give one row an image")
    return rows


def _require_columns(row: Row, mapping: CohortMapping) -> None:
    for role, column in mapping.columns.items():
        if column not in row:
            raise IntakeError(
                f"has no column {column!r} for {role}", where=TABLE, remedy=f"columns there: {', '.join(row)}"
            )
    if not {"image", "index"} & set(mapping.columns):
        raise IntakeError("names neither image nor index", where="mapping", remedy='add index = "..." under [columns]')
    if "label" not in mapping.columns:
        raise IntakeError("names no label column", where="mapping", remedy='add label = "..." under [columns]')


def _columns_of(rows: list[dict[str, str]], mapping: CohortMapping) -> dict[str, tuple[str, ...]]:
    wanted = {role: column for role, column in mapping.columns.items() if role not in ("image", "index")}
    return mapping.with_merged_labels(
        {role: tuple(row[column].strip() for row in rows) for role, column in wanted.items()}
    )


def _from_arrays(folder: Path, rows: list[dict[str, str]], mapping: CohortMapping) -> SourceCohort:
    with (folder / ARRAYS).open("rb") as stream:
        held = ImageSet.read(stream, where=ARRAYS)
    images, bits = held.images, held.bits if mapping.bits is None else mapping.bits
    column = mapping.columns.get("index")
    if column is None:
        raise IntakeError("names no index column", where="mapping", remedy=f"{ARRAYS} needs the row of each image")
    index = [_row_number(row[column].strip(), len(images)) for row in rows]
    if len(set(index)) != len(index):
        raise IntakeError(f"column {column!r} names a row twice", where=TABLE, remedy="one row an image")
    name_column = mapping.columns.get("image") or next(
        (name for name in ("source_file", "file") if name in rows[0]), None
    )
    names = tuple(row[name_column] if name_column else f"row {number}" for row, number in zip(rows, index, strict=True))
    return SourceCohort(
        kind="npz", names=names, images=images[np.array(index)], columns=_columns_of(rows, mapping), bits=bits
    )


def _row_number(text: str, n_images: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < n_images):
        raise IntakeError(
            f"index {text[:20]!r} names no image", where=TABLE, remedy=f"{ARRAYS} holds {n_images}, counted from 0"
        )
    return int(text)


def _from_files(folder: Path, rows: list[dict[str, str]], mapping: CohortMapping, progress: Progress) -> SourceCohort:
    column = mapping.columns.get("image")
    if column is None:
        raise IntakeError("names no image column", where="mapping", remedy=f"or put {ARRAYS} beside {TABLE}")
    names = tuple(row[column].strip() for row in rows)
    pixels = []
    for done, name in enumerate(names):
        pixels.append(read_image(folder, name))
        progress(done + 1, len(names), "reading images")
    return SourceCohort(
        kind="images",
        names=names,
        images=stack_images(names, pixels),
        columns=_columns_of(rows, mapping),
        bits=mapping.bits,
    )


def read_image(folder: Path, name: str) -> Pixels:
    """One image file as uint8 or uint16, [H, W] or [H, W, 3]. Raises IntakeError where it is no image."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise IntakeError("no such image in the folder", where=name, remedy=f"check the image column of {TABLE}")
    try:
        with Image.open(path) as image:
            return _pixels(image, name)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise IntakeError("is no readable image", where=name, remedy="give PNG, JPEG, TIFF, BMP or DICOM") from error


def _pixels(image: Image.Image, name: str) -> Pixels:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in GREY | COLOUR:
        raise IntakeError(f"holds {image.mode} pixels", where=name, remedy="store 8 or 16 bits a channel")
    return np.asarray(image.convert("L" if image.mode in GREY else "RGB"))
