"""Arms read from files; files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from audits.base import AuditError
from audits.marks import MarkCount, MarkCounts
from generators.data import ImageSet


def read_arm(path: Path, split: str) -> ImageSet:
    """The file's images of that split; all of them where the file has no splits. Raises DataError."""
    images = ImageSet.load(path)
    return images if images.split is None else images.of_split(split)


def read_marks(path: Path) -> MarkCounts:
    """Counts of a mark's detector, the fields of `MarkCounts` as JSON: `{"transforms": [{"transform": "none", "n": 100,
    "found": 100, "wrong": 0}], "n_unmarked": 40, "unmarked_found": 0}`. Raises AuditError."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        transforms = tuple(MarkCount(**row) for row in body["transforms"])
        return MarkCounts(**{**body, "transforms": transforms})
    except (OSError, ValueError, TypeError, KeyError) as error:
        remedy = "give a list of counts as transforms, n_unmarked and unmarked_found"
        raise AuditError(f"no counts of marks ({error})", where=str(path), remedy=remedy) from error


def require_writable(path: Path | None) -> None:
    """Refuse a place that cannot be written before minutes are spent on what should go there. Raises AuditError."""
    if path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise AuditError("cannot be written", where=str(path), remedy="choose an existing, writable folder")


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text beside `path`, flush it to disk, and put it in place. Raises OSError."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
