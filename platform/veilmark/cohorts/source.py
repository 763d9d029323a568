"""A source as it was read: pixels of one shape, and the source's own text about each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from veilmark.core.errors import ApplicationError

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Progress = Callable[[int, int, str], None]


class IntakeError(ApplicationError):
    """A source that cannot be read as a cohort."""


@dataclass(frozen=True, kw_only=True)
class SourceCohort:
    """What was handed over, as it stood there: values are the source's own text, one an image.

    kind: npz, images or dicom. left_out: one line for each DICOM file that could not be used. bits: how many bits of
    16-bit storage are used, as the mapping or the `.npz` declares it; None for all of them.
    """

    kind: str
    names: tuple[str, ...]
    images: Pixels
    columns: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...] = field(default_factory=tuple)
    bits: int | None = None


def stack_images(names: tuple[str, ...], pixels: list[Pixels]) -> Pixels:
    """[N, H, W(, 3)] of images that agree in size, depth and channels. Raises IntakeError naming two that do not."""
    first = pixels[0]
    for name, image in zip(names, pixels, strict=True):
        if image.shape != first.shape or image.dtype != first.dtype:
            raise IntakeError(
                f"is {_describe(image)}, but {names[0]} is {_describe(first)}",
                where=name,
                remedy="bring all images to one size, depth and number of channels",
            )
    return np.stack(pixels)  # type: ignore[return-value]


def _describe(image: Pixels) -> str:
    kind = "colour" if image.ndim == 3 else "grey"
    return f"{image.shape[1]} x {image.shape[0]} {kind} {image.dtype.itemsize * 8} bit"
