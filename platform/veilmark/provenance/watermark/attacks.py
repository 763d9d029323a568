"""What images go through on their way, as functions of an 8-bit image and a random generator.

The benchmark measures them all; a release is tried with some of them (`survival`).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Attack = Callable[[Picture, np.random.Generator], Picture]


def shown(image: NDArray[np.generic]) -> Picture:
    """An image as a viewer shows it: 16-bit ones windowed to 8 bits, one pixel in a hundred clipped at each end."""
    if image.dtype == np.uint8:
        return image.astype(np.uint8)
    low, high = np.percentile(image.astype(np.float32), (1, 99))
    return _bytes((image.astype(np.float32) - low) * (255 / max(high - low, 1)))


def coded(kind: Literal["JPEG", "WEBP"], quality: int) -> Attack:
    """Written and read back with loss."""

    def attack(image: Picture, _: np.random.Generator) -> Picture:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, kind, quality=quality)
        return np.asarray(Image.open(buffer).convert("RGB" if image.ndim == 3 else "L"))

    return attack


def noisy(deviation: float) -> Attack:
    """Gaussian noise, of 255."""
    return lambda image, rng: _bytes(image + rng.normal(0, deviation, image.shape))


def resized(factor: float) -> Attack:
    """Made smaller and brought back to its size, bicubic."""

    def attack(image: Picture, _: np.random.Generator) -> Picture:
        height, width = image.shape[:2]
        small = Image.fromarray(image).resize((round(width * factor), round(height * factor)), _BICUBIC)
        return np.asarray(small.resize((width, height), _BICUBIC))

    return attack


def cropped(image: Picture, rng: np.random.Generator) -> Picture:
    """A tenth of each side is cut off, anyhow divided between the two ends."""
    cut = [length // 10 for length in image.shape[:2]]
    top, left = (int(rng.integers(0, least + 1)) for least in cut)
    return image[top : top + image.shape[0] - cut[0], left : left + image.shape[1] - cut[1]]


def rotated(degrees: float) -> Attack:
    """Turned about the centre in its frame, bicubic; the corners turn black."""
    return lambda image, _: np.asarray(Image.fromarray(image).rotate(degrees, _BICUBIC))


def windowed(gain: float, offset: float = 0) -> Attack:
    """Another brightness or contrast, clipped at 0 and 255."""
    return lambda image, _: _bytes(image * gain + offset)


def in_turn(*attacks: Attack) -> Attack:
    """One after the other."""

    def attack(image: Picture, rng: np.random.Generator) -> Picture:
        for each in attacks:
            image = np.ascontiguousarray(each(image, rng))
        return image

    return attack


def _bytes(values: NDArray[np.floating]) -> Picture:
    rounded: Picture = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


_BICUBIC = Image.Resampling.BICUBIC

ATTACKS: dict[str, Attack] = {
    "none": lambda image, _: image,
    "JPEG 90": coded("JPEG", 90),
    "JPEG 75": coded("JPEG", 75),
    "JPEG 50": coded("JPEG", 50),
    "JPEG 30": coded("JPEG", 30),
    "WebP 50": coded("WEBP", 50),
    "noise 2": noisy(2),
    "noise 5": noisy(5),
    "noise 10": noisy(10),
    "resize 0.75 and back": resized(0.75),
    "resize 0.5 and back": resized(0.5),
    "crop 10 %": cropped,
    "rotate 2 degrees": rotated(2),
    "brightness +10 %": windowed(1.1),
    "brightness -10 %": windowed(0.9),
    "window with clipping": windowed(1.25, -31),
    "flip": lambda image, _: image[:, ::-1],
    "rotate 2 degrees and crop 10 %": in_turn(rotated(2), cropped),
}
