"""Files that are either whole or absent: written beside their place, synced, then moved there."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from generators.base import GeneratorError

# As `tempfile.mkstemp` names them for `replacing`.
UNFINISHED = re.compile(r"\..+\.(safetensors|json)\.[a-z0-9_]{8}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary stream whose content becomes `path` when the block ends well. Raises GeneratorError if unwritable."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise GeneratorError("cannot be written", where=str(path), remedy="choose a writable folder") from error
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what writes of a killed process left beside their places, in `folder` and below."""
    for path in folder.rglob(".*.*"):
        if UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as stream:
        stream.write(text.encode())
