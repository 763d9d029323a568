"""Pixels as the image pixel module stores them (PS3.3 C.7.6.3), and an overlay plane of one bit (C.9.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from veilmark.dicom.base import DicomError, Pixels
from veilmark.dicom.kinds import ImageKind

OVERLAY_GROUP = 0x6000


def check_pixels(pixels: Pixels, bits: int) -> None:
    """Raises DicomError for anything but uint8 [H,W] or [H,W,3], or uint16 [H,W] below 2^bits."""
    deep, colour = pixels.dtype == np.uint16, pixels.ndim == 3
    shape_fits = pixels.ndim == 2 or (colour and pixels.shape[2] == 3 and not deep)
    fits = shape_fits and pixels.dtype in (np.uint8, np.uint16) and 0 < pixels.size <= 2**28
    if not fits or bits not in ((12, 16) if deep else (8,)):
        raise DicomError(
            f"are {pixels.dtype} {list(pixels.shape)} of {bits} bits",
            where="pixels",
            remedy="give uint8 [H,W] or [H,W,3], or uint16 [H,W] of 12 or 16 bits",
        )
    if int(pixels.max()) >= 2**bits:
        raise DicomError(f"reach {int(pixels.max())}", where="pixels", remedy=f"scale them to 0..{2**bits - 1}")


def add_pixels(dataset: Dataset, pixels: Pixels, *, kind: ImageKind, bits: int) -> None:
    """Write checked pixels. White is dense; the window shows the whole range."""
    colour = pixels.ndim == 3
    allocated = 16 if bits > 8 or kind.words else 8
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    else:
        dataset.WindowCenter, dataset.WindowWidth = 2 ** (bits - 1), 2**bits
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = 0
    stored = pixels.astype("<u2" if allocated == 16 else np.uint8).tobytes()
    dataset.add_new("PixelData", "OW" if allocated == 16 else "OB", _even(stored))


def add_overlay(dataset: Dataset, mask: NDArray[np.bool_]) -> None:
    """A graphics overlay of the image's size: first pixel in the lowest bit (PS3.5 8.1.2)."""
    if mask.shape != (dataset.Rows, dataset.Columns):
        raise DicomError(f"is {list(mask.shape)}", where="overlay", remedy="give one of the image's height and width")
    values: dict[int, tuple[str, object]] = {
        0x0010: ("US", dataset.Rows),
        0x0011: ("US", dataset.Columns),
        0x0022: ("LO", "Label of a synthetic image"),
        0x0040: ("CS", "G"),
        0x0050: ("SS", [1, 1]),
        0x0100: ("US", 1),
        0x0102: ("US", 0),
        0x3000: ("OW", _even(np.packbits(mask, axis=None, bitorder="little").tobytes())),
    }
    for element, (representation, value) in values.items():
        dataset.add_new((OVERLAY_GROUP, element), representation, value)


def _even(content: bytes) -> bytes:
    return content + b"\0" * (len(content) % 2)
