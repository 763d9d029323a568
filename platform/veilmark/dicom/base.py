"""What reading and writing share: the images read, the files refused, the limits, the error.

Errors::

    DicomError        anything this package refuses as a whole: what was wrong, where, what to do next

A single file that cannot be used is no error: it comes back as a `RefusedFile` with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class DicomError(Exception):
    """A refusal that a person can act on. `str()` is one line: what, where, what to do."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """What one file may cost. A file that asks for more is refused; the others are read on.

    file_bytes: size on disk. pixel_bytes: decoded, over all frames, at 4 bytes a value. n_frames: frames of one file.
    memory_bytes: address space of the reading process. seconds: processor time, and wall time, for one file.
    """

    file_bytes: int = 512 * 2**20
    pixel_bytes: int = 256 * 2**20
    n_frames: int = 256
    memory_bytes: int = 2 * 2**30
    seconds: int = 20


@dataclass(frozen=True, kw_only=True)
class DicomImage:
    """One frame, de-identified.

    pixels: uint8 0..255 or uint16 0..4095 [H,W], or uint8 [H,W,3]; white is dense in every grey image.
    file: path inside the folder read; it may name a person, so it stays on site. frame: from 0.
    subject, study, series, instance: codes that the caller's `Codes` made, never the header's own values.
    sex: M, F, O or empty. age: whole years, 90 for all above 89, None where unknown. site: the manufacturer.
    """

    pixels: Pixels
    file: str
    frame: int
    subject: str
    study: str
    series: str
    instance: str
    sex: str
    age: int | None
    view: str
    modality: str
    body_part: str
    site: str


@dataclass(frozen=True, kw_only=True)
class RefusedFile:
    """A file that gave no image. reason: one line that holds nothing of the header."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class FolderReading:
    """Everything found in a folder: each file gave images or stands in `refused`."""

    images: tuple[DicomImage, ...]
    refused: tuple[RefusedFile, ...]


Codes = Callable[[str, str], str]
"""(kind, identifier) -> code; kind is subject, study, series or instance. Equal input gives an equal code."""
