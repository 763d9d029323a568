"""The word SYNTHETIC where everybody sees it: in the pixels, on a strip below them, or in a DICOM overlay.

It is drawn after the mark and before writing. Its dark and light are the ends of the range that marks are read in, so
that drawing it moves neither that range nor a window chosen from percentiles.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.errors import FileError
from veilmark.provenance.watermark.plane import intensity_range, luminance

MIN_BURNED_SIDE = 128  # pixels; on smaller images the word would hide what they show
_SHARE = 0.05  # of the shortest side: the least height of the letters
_HEIGHT = 7
_LETTERS = {
    "S": ("01110", "10001", "10000", "01110", "00001", "10001", "01110"),
    "Y": ("10001", "10001", "01010", "00100", "00100", "00100", "00100"),
    "N": ("10001", "11001", "10101", "10101", "10011", "10001", "10001"),
    "T": ("11111", "00100", "00100", "00100", "00100", "00100", "00100"),
    "H": ("10001", "10001", "10001", "11111", "10001", "10001", "10001"),
    "E": ("11111", "10000", "10000", "11110", "10000", "10000", "11111"),
    "I": ("01110", "00100", "00100", "00100", "00100", "00100", "01110"),
    "C": ("01110", "10001", "10000", "10000", "10000", "10001", "01110"),
}
_WORD = "SYNTHETIC"

Mask = NDArray[np.bool_]


class VisibleLabel(StrEnum):
    """Where the word stands. An overlay is shown by DICOM viewers alone; a PNG of the same image stays as it is."""

    NONE = "none"
    BURNED_IN = "burned-in"
    BORDER = "border"
    OVERLAY = "overlay"

    @property
    def changes_pixels(self) -> bool:
        """Whether the word becomes part of the stored pixels."""
        return self in {VisibleLabel.BURNED_IN, VisibleLabel.BORDER}


def with_label(pixels: NDArray[np.generic], label: VisibleLabel) -> NDArray[np.generic]:
    """`pixels` ([H, W] or [H, W, 3], uint8 or uint16) with the word burned in, or on a strip below them.

    Raises FileError where the image is too small for it.
    """
    if not label.changes_pixels:
        return pixels
    word = _word(pixels)
    low, span = intensity_range(luminance(pixels[np.newaxis]))
    dark, light = np.array([low[0], low[0] + span[0]]).round().astype(pixels.dtype)
    if label is VisibleLabel.BORDER:
        strip = np.full((len(word), *pixels.shape[1:]), dark)
        strip[:, : word.shape[1]][word] = light
        return np.concatenate([pixels, strip])
    labelled = pixels.copy()
    corner = labelled[-len(word) :, : word.shape[1]]
    corner[:] = dark
    corner[word] = light
    return labelled


def overlay_of(pixels: NDArray[np.generic]) -> Mask:
    """The word as a plane of the image's size [H, W], in its lower left corner. Raises FileError."""
    word = _word(pixels)
    plane = np.zeros(pixels.shape[:2], bool)
    plane[-len(word) :, : word.shape[1]] = word
    return plane


def _word(pixels: NDArray[np.generic]) -> Mask:
    """The word with a margin of one stroke, its letters at least 5 % of the shortest side high."""
    height, width = pixels.shape[:2]
    stroke = -int(-_SHARE * min(height, width) // _HEIGHT)
    rows = ["0".join(_LETTERS[letter][row] for letter in _WORD) for row in range(_HEIGHT)]
    letters = np.pad(np.array([[digit == "1" for digit in row] for row in rows]), 1)
    word = letters.repeat(stroke, axis=0).repeat(stroke, axis=1)
    if word.shape[0] > height or word.shape[1] > width:
        raise FileError(f"{width} x {height} pixels are too few for the word {_WORD}", remedy="leave the label out")
    return word


def check_label(shape: tuple[int, ...], label: VisibleLabel) -> None:
    """Refuse to burn the word into images [H, W, ...] under `MIN_BURNED_SIDE`. Raises FileError."""
    if label is VisibleLabel.BURNED_IN and min(shape[:2]) < MIN_BURNED_SIDE:
        raise FileError(
            f"a label burned into {shape[1]} x {shape[0]} pixels would hide what they show",
            remedy=f"use a border or an overlay under {MIN_BURNED_SIDE} pixels",
        )
