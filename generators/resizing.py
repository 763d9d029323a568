"""Bringing images to the size that a generator works at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from generators.base import DataError
from generators.data import ImageSet


def resize_images(images: ImageSet, size: int) -> ImageSet:
    """The set with images of `size` x `size` pixels, columns and bit depth kept.

    Antialiased (Lanczos when shrinking, Pillow's convolution in floating point), so that equal images stay equal and a
    large one does not alias. Images that are not square are stretched: both sides end equal. Raises DataError.
    """
    if size < 8:
        raise DataError(f"is {size}", where="size", remedy="choose at least 8 pixels")
    if images.images.shape[1:3] == (size, size):
        return images
    resized = [_resize(image, size) for image in images.images]
    return replace(images, images=np.stack(resized) if resized else np.empty((0, size, size), images.images.dtype))


def _resize(
    image: np.ndarray[tuple[int, ...], np.dtype[np.generic]], size: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Channel by channel in 32-bit floating point: 16-bit values have no Pillow filter of their own."""
    planes = image[..., None] if image.ndim == 2 else image
    shrunk = np.stack([_resize_plane(planes[..., channel], size) for channel in range(planes.shape[-1])], axis=-1)
    limits = np.iinfo(image.dtype)  # type: ignore[type-var]
    stored = np.clip(np.rint(shrunk), limits.min, limits.max).astype(image.dtype)
    return stored[..., 0] if image.ndim == 2 else stored


def _resize_plane(
    plane: np.ndarray[tuple[int, ...], np.dtype[np.generic]], size: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    source = plane.astype(np.float32)
    resized = Image.fromarray(source).resize((size, size), Image.Resampling.LANCZOS)
    # Lanczos overshoots at edges: values must stay within those of the image.
    return np.clip(np.asarray(resized, dtype=np.float32), source.min(), source.max())
