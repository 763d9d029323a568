"""Files of images and metadata into an `ImageSet`, with one clear line for whatever is wrong with them."""

from __future__ import annotations

import csv
import math
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from generators.base import CellCount, ConfigError, DataError
from generators.data import SPLITS, ImageSet, Strings
from generators.groups import age_groups, normal_sex

Rows = list[dict[str, str]]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def read_cohort(
    images: Path,
    metadata: Path | None = None,
    *,
    label: str | None = None,
    subject: str | None = None,
    sex: str | None = None,
    age: str | None = None,
    split: str | None = None,
    bits: int | None = None,
) -> ImageSet:
    """Images of an `.npz` with the named columns of a csv, whose `index` column says which image a row is of.

    Images that no row names are left out. Without metadata the columns that the `.npz` holds are kept. bits: the
    declared number of used bits; None for what the `.npz` says.
    Raises DataError: missing column, index out of range or named twice, unknown sex, age that is no number.
    """
    held = ImageSet.load(images)
    held = held if bits is None else replace(held, bits=bits)
    if not len(held):
        raise DataError("holds no images", where=str(images), remedy="give at least one")
    named = {"label": label, "subject": subject, "sex": sex, "age": age, "split": split}
    if metadata is None:
        given = [name for name in named.values() if name]
        if given:
            raise DataError(f"column {given[0]!r} named", where="metadata", remedy="give the file that holds it")
        return held
    rows = _read_rows(metadata)
    _check_columns(rows, ["index", *(name for name in named.values() if name)], metadata)
    chosen = held.select(_indices(rows, len(held), metadata))
    columns = {role: _column(rows, name, role, metadata) for role, name in named.items() if name and role != "age"}
    if sex:
        columns["sex"] = np.array([normal_sex(word) for word in columns["sex"]], dtype=np.str_)
    if age:
        columns["age_group"] = age_groups(_ages(rows, age, metadata))
    return replace(chosen, **columns)  # type: ignore[arg-type]  # strings, by role


def read_public(path: Path) -> ImageSet:
    """A public `.npz`: the contract's names, or `train_images` and `train_labels` as benchmark sets have them."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "train_images" not in archive.files:
                return ImageSet.load(path)
            labels = archive["train_labels"].reshape(-1).astype(str) if "train_labels" in archive.files else None
            return ImageSet(images=archive["train_images"], label=labels)
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(path), remedy="check the path") from error
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DataError("not a readable .npz", where=str(path), remedy="write it with numpy.savez") from error


def column_of(metadata: Path, name: str) -> Strings:
    """One column of a csv, cells stripped, gaps as they are, in the order of `read_cohort`. Raises DataError."""
    rows = _read_rows(metadata)
    _check_columns(rows, [name], metadata)
    return np.array([row[name].strip() for row in rows], dtype=np.str_)


def resize_images(images: ImageSet, size: int) -> ImageSet:
    """Every image at size x size pixels: the central square of a rectangle, then bicubic and antialiased.

    The one resize of the project, for private, public and audited images alike. Columns, type and declared bits stay.
    Raises ConfigError below 8 or above 1024 pixels.
    """
    if not 8 <= size <= 1024:
        raise ConfigError(f"is {size}", where="size", remedy="choose 8 to 1024 pixels")
    square = _central_square(images.images)
    side = square.shape[1]
    if side == size:
        return replace(images, images=square)
    if not len(images):
        return replace(images, images=np.resize(square, (0, size, size, *square.shape[3:])))
    planes = square.reshape(len(images), side, side, images.channels).transpose(0, 3, 1, 2)
    resized = np.stack([[_resized(plane, size) for plane in image] for image in planes]).transpose(0, 2, 3, 1)
    grey = resized[..., 0] if images.channels == 1 else resized
    levels = np.clip(np.round(grey), 0, images.max_value)
    return replace(images, images=levels.astype(np.uint8) if images.bit_depth == 8 else levels.astype(np.uint16))


def _central_square(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[:, top : top + side, left : left + side]


def read_counts(path: Path) -> list[CellCount]:
    """Counts of synthetic images from a csv with columns label, n and, where wanted, sex and age_group."""
    rows = _read_rows(path)
    _check_columns(rows, ["label", "n"], path)
    counts = []
    for number, row in enumerate(rows, start=2):
        if not row["n"].strip().isdigit():
            raise DataError(f"n is {row['n']!r}", where=f"{path} line {number}", remedy="give a whole number")
        groups = {name: row.get(name, "") for name in ("sex", "age_group")}
        counts.append(CellCount(label=row["label"], n=int(row["n"]), **groups))
    return counts


def _resized(plane: NDArray[np.generic], size: int) -> NDArray[np.float32]:
    """Pillow's filter is antialiased when it shrinks: its support grows with the ratio."""
    picture = Image.fromarray(plane.astype(np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def _read_rows(path: Path) -> Rows:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise DataError("cannot be read", where=str(path), remedy="check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("is no UTF-8 csv", where=str(path), remedy="save it as UTF-8 with commas") from error
    if not rows:
        raise DataError("has no rows", where=str(path), remedy="give a header and a row an image")
    return rows


def _check_columns(rows: Rows, wanted: list[str], path: Path) -> None:
    present = [name for name in rows[0] if name]
    for name in wanted:
        if name not in present:
            raise DataError(f"has no column {name!r}", where=str(path), remedy=f"it has {', '.join(present)}")
    for number, row in enumerate(rows, start=2):
        if any(row[name] is None for name in wanted):
            raise DataError("is cut short", where=f"{path} line {number}", remedy="give every column a value")


def _indices(rows: Rows, n_images: int, path: Path) -> NDArray[np.intp]:
    seen: dict[int, int] = {}
    for number, row in enumerate(rows, start=2):
        where = f"{path} line {number}"
        if not row["index"].strip().isdigit() or int(row["index"]) >= n_images:
            raise DataError(
                f"index {row['index']!r} names none of {n_images} images", where=where, remedy="count from 0"
            )
        index = int(row["index"])
        if index in seen:
            raise DataError(f"index {index} stands on line {seen[index]} too", where=where, remedy="name it once")
        seen[index] = number
    return np.array(list(seen), dtype=np.intp)


def _column(rows: Rows, name: str, role: str, path: Path) -> Strings:
    words = np.array([row[name].strip() for row in rows], dtype=np.str_)
    missing = np.isin(np.char.lower(words), ("", "nan"))
    if role in {"label", "subject"} and np.any(missing):
        line = int(np.argmax(missing))
        found = f"NaN ({str(words[line])!r})" if words[line] else "empty"
        raise DataError(f"{name} is {found}", where=f"{path} line {line + 2}", remedy=f"give every image a {role}")
    if role == "split" and not set(words) <= set(SPLITS):
        stray = min(set(words) - set(SPLITS))
        raise DataError(f"split {stray!r} is unknown", where=str(path), remedy=f"use {', '.join(SPLITS)}")
    return words


def _ages(rows: Rows, name: str, path: Path) -> list[float | None]:
    """Years; None where the cell is empty. A word such as NaN is refused: it may hide a fault of the export."""
    ages: list[float | None] = []
    for number, row in enumerate(rows, start=2):
        word = row[name].strip()
        try:
            age = float(word) if word else None
        except ValueError:
            age = math.nan
        if age is not None and not 0 <= age <= 130:
            raise DataError(
                f"age is {word!r}", where=f"{path} line {number}", remedy="give years from 0 to 130, or leave it empty"
            )
        ages.append(age)
    return ages
