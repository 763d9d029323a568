"""Real images for the watermark's figures, in two halves: one to tune on, the other to report.

People (`cxr_nih_1000`), lesions (`skin_ham10000`), identical pixels (`brain_mri_tumor`) and series (`dicom/series`) lie
in one half alone.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from audits.bench.datasets import shared_folder

SHARED = shared_folder()
SOURCES = ("chest", "brain", "skin", "dicom")
HALVES = ("tuning", "held out")


def load(source: str, size: int, *, half: str, n: int) -> list[NDArray[np.generic]]:
    """Up to `n` images spread over a half: `size` x `size` uint8, RGB for skin; DICOM slices as they are, uint16."""
    if source == "dicom":
        return _dicom(half, n)
    keys = list(_keys(source))
    rows = [row for row, key in enumerate(keys) if _half(key) == half]
    picked = [rows[i * len(rows) // n] for i in range(min(n, len(rows)))]
    return [
        np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
        for image in _read(source, picked)
    ]


def _half(key: str) -> str:
    return HALVES[zlib.crc32(key.encode()) & 1]


def _keys(source: str) -> Iterator[str]:
    """What must not be split, for every image of a source."""
    folder, column = {
        "chest": ("cxr_nih_1000", "patient_id"),
        "brain": ("brain_mri_tumor", "pixel_md5"),
        "skin": ("skin_ham10000", "lesion_id"),
    }[source]
    with (SHARED / folder / "metadata.csv").open(newline="") as table:
        yield from (row[column] for row in csv.DictReader(table))


def _read(source: str, rows: list[int]) -> Iterator[NDArray[np.uint8]]:
    if source == "skin":
        with zipfile.ZipFile(SHARED / "skin_ham10000" / "images_128x96.zip") as archive:
            names = sorted(archive.namelist())
            for row in rows:
                image: NDArray[np.uint8] = np.asarray(Image.open(io.BytesIO(archive.read(names[row]))))
                yield image[:, 16:112]  # square, so that nothing is squeezed
        return
    folder = {"chest": "cxr_nih_1000", "brain": "brain_mri_tumor"}[source]
    with np.load(SHARED / folder / "images.npz") as arrays:
        yield from arrays["images"][rows]


def _dicom(half: str, n: int) -> list[NDArray[np.generic]]:
    """Slices of 12 to 16 bits, moved to start at 0; from the middle of each series, where the body is."""
    series = sorted(folder for folder in (SHARED / "dicom" / "series").iterdir() if folder.is_dir())
    mine = [folder for at, folder in enumerate(series) if HALVES[at & 1] == half]
    each = -(-n // len(mine))
    slices: list[NDArray[np.generic]] = []
    for folder in mine:
        files = sorted(folder.glob("*.dcm"))
        middle = files[len(files) // 4 : len(files) * 3 // 4 + 1]
        for path in middle[:: max(1, len(middle) // each)][:each]:
            pixels = pydicom.dcmread(path).pixel_array
            plain = pixels[len(pixels) // 2] if pixels.ndim == 3 else pixels
            slices.append((plain.astype(np.int32) - int(plain.min())).astype(np.uint16))
    return [image for image in slices if min(image.shape) >= 64 and image.max() > 0][:n]
