"""Reading a file that somebody named."""

from __future__ import annotations

from pathlib import Path

from veilmark.provenance.errors import FileError


def read_file(path: Path, *, max_bytes: int | None = None) -> bytes:
    """All of it. Raises FileError, also where it is larger than `max_bytes`."""
    try:
        if max_bytes is not None and path.stat().st_size > max_bytes:
            raise FileError(f"is larger than {max_bytes} bytes", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror})", where=str(path)) from error
