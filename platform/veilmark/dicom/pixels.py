"""Stored values to pixels of one documented range.

Grey: modality LUT (PS3.3 C.11.1), then VOI LUT or the first window (C.11.2), scaled to 0..255 or 0..4095. Without
either the frame's own minimum and maximum are the window. MONOCHROME1 is inverted, so that white is dense everywhere.
Colour: RGB, 0..255.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import iter_pixels

from veilmark.dicom.base import Pixels, ReadLimits
from veilmark.dicom.header import Refusal

Stored = NDArray[np.generic]
Values = NDArray[np.float64]

BIT_DEPTHS = (8, 12)
_BYTES_A_VALUE = 4
_NARROWEST = 1e-9  # a window of width 1 in LINEAR is a step; this keeps the division finite
_GREY = ("MONOCHROME1", "MONOCHROME2")


def frames_of(dataset: Dataset, *, bit_depth: int, size: int | None, limits: ReadLimits) -> Iterator[Pixels]:
    """Every frame of a file as pixels; `size` fits it into a square of that many pixels. Raises Refusal."""
    _refuse_by_size(dataset, limits)
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    grey = photometric in _GREY
    for index, stored in enumerate(iter_pixels(dataset)):
        if grey:
            values = window(rescaled(stored, dataset, index), dataset, index)
            values = 1 - values if photometric == "MONOCHROME1" else values
        else:
            values = _colour(stored, dataset, photometric)
        yield _quantised(values if size is None else fitted(values, size), bit_depth if grey else 8)


def rescaled(stored: Stored, dataset: Dataset, frame: int) -> Values:
    """Stored values through the modality LUT or rescale, that of the frame where the file has one for each."""
    own = _functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    return np.asarray(apply_modality_lut(stored, own), dtype=np.float64)


def window(values: Values, dataset: Dataset, frame: int = 0) -> Values:
    """Values to 0..1 through the VOI LUT, the first window, or the values' own range."""
    own = _functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    if own.get("VOILUTSequence"):
        return _voi_lut(values, own.VOILUTSequence[0])
    center, width = (_first(own.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    function = str(own.get("VOILUTFunction", "LINEAR") or "LINEAR")
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        low, high = float(values.min()), float(values.max())
        return (values - low) / (high - low) if high > low else np.zeros_like(values)
    if function == "LINEAR":  # C.11.2.1.2.1: the half-pixel that the other functions do without
        center, width = center - 0.5, width - 1
    distance = (values - center) / max(width, _NARROWEST)
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * distance, -700, 700))))
    return np.clip(distance + 0.5, 0, 1)


def fitted(values: Values, size: int) -> Values:
    """Scaled to fit a square of `size`, sides kept in proportion, centred on black."""
    height, width = values.shape[:2]
    scale = size / max(height, width)
    new = (max(round(width * scale), 1), max(round(height * scale), 1))
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize(new, Image.Resampling.BILINEAR))
        for plane in np.moveaxis(np.atleast_3d(values), 2, 0)
    ]
    square = np.zeros((size, size, len(planes)))
    top, left = (size - new[1]) // 2, (size - new[0]) // 2
    square[top : top + new[1], left : left + new[0]] = np.stack(planes, axis=2)
    return square[..., 0] if values.ndim == 2 else square


def _refuse_by_size(dataset: Dataset, limits: ReadLimits) -> None:
    numbers = [dataset.get(keyword) for keyword in ("Rows", "Columns", "SamplesPerPixel")]
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        raise Refusal("does not say how large its image is")
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    if not 1 <= n_frames <= limits.n_frames:
        raise Refusal(f"has {n_frames} frames, more than {limits.n_frames}")
    n_bytes = numbers[0] * numbers[1] * numbers[2] * n_frames * _BYTES_A_VALUE
    if n_bytes > limits.pixel_bytes:
        raise Refusal(f"declares {n_bytes} bytes of pixels, more than {limits.pixel_bytes}")


def _colour(stored: Stored, dataset: Dataset, photometric: str) -> Values:
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
        bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    else:
        bits = int(dataset.BitsStored)
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise Refusal("is neither grey nor colour in three channels")
    values: Values = np.clip(stored.astype(np.float64) / (2**bits - 1), 0, 1)
    return values


def _voi_lut(values: Values, lut: Dataset) -> Values:
    n_entries, first, bits = (int(number) for number in lut.LUTDescriptor)
    table = np.asarray(lut.LUTData, dtype=np.float64)[: n_entries or 2**16]
    index = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.intp)
    looked_up: Values = np.clip(table[index] / (2**bits - 1), 0, 1)
    return looked_up


def _functional_group(dataset: Dataset, frame: int, keyword: str) -> Dataset | None:
    """The macro of one frame in an enhanced file (PS3.3 C.7.6.16): the frame's own, else the shared one."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in (*own[frame : frame + 1], *shared[:1]):
        if group.get(keyword):
            macro: Dataset = group[keyword].value[0]
            return macro
    return None


def _first(value: object) -> float | None:
    number = value[0] if isinstance(value, MultiValue) and value else value
    return float(number) if isinstance(number, (int, float)) and np.isfinite(float(number)) else None


def _quantised(values: Values, bit_depth: int) -> Pixels:
    scaled: Values = np.rint(np.nan_to_num(values) * (2**bit_depth - 1))
    return scaled.astype(np.uint8) if bit_depth == 8 else scaled.astype(np.uint16)
