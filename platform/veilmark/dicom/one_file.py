"""One file from disk to header and pixels, or a refusal. Runs in the limited child process only."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset

from veilmark.dicom.base import Pixels, ReadLimits
from veilmark.dicom.header import Refusal, header_of
from veilmark.dicom.pixels import frames_of

_PREAMBLE = 128
_ARCHIVES = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_PROGRAMS = (b"MZ", b"\x7fELF", b"#!", b"\xfe\xed\xfa", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


def read_file(
    path: str, *, bit_depth: int, size: int | None, limits: ReadLimits
) -> tuple[Mapping[str, str | int | None], list[Pixels]]:
    """(header with identifiers in clear, frames). Raises Refusal with a reason that holds nothing of the header."""
    dataset = _parsed(_content(path, limits.file_bytes))
    header = header_of(dataset)
    try:
        return header, list(frames_of(dataset, bit_depth=bit_depth, size=size, limits=limits))
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        raise Refusal(f"pixels cannot be decoded ({type(error).__name__})") from error


def _parsed(content: bytes) -> Dataset:
    try:
        return pydicom.dcmread(BytesIO(content))
    except MemoryError:
        raise
    except Exception as error:
        raise Refusal(f"cannot be parsed ({type(error).__name__})") from error


def _content(path: str, limit: int) -> bytes:
    try:
        # no link is followed, and a pipe with that name does not block
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Refusal("cannot be opened") from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Refusal("is no regular file")
        if status.st_size > limit:
            raise Refusal(f"is larger than {limit} bytes")
        start = file.read(_PREAMBLE + 4)
        _refuse_by_start(start)
        return start + file.read(limit)


def _refuse_by_start(start: bytes) -> None:
    for magic, name in _ARCHIVES.items():
        if start.startswith(magic):
            raise Refusal(f"is a {name} archive: unpack it first")
    if start[_PREAMBLE:] != b"DICM":
        raise Refusal("is no DICOM file (no DICM after the preamble)")
    if start.startswith(_PROGRAMS):
        raise Refusal("has the start of a program in its preamble")
