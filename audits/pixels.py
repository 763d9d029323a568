"""Pixels as numbers: one grey scale for all arms, one area-averaging resize."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from generators.data import ImageSet

Floats = NDArray[np.float32]
Described = TypeVar("Described", NDArray[np.float32], NDArray[np.float64])

BLOCK_PIXELS = 1 << 20


def to_grey(images: ImageSet, *, white: int) -> Floats:
    """Images as float32 [N, H, W], black 0 and `white` 1; colour becomes the mean of its channels."""
    grey = np.empty(images.images.shape[:3], dtype=np.float32)
    for start, block in _grey_blocks(images, white):
        grey[start : start + len(block)] = block
    return grey


@dataclass(frozen=True, kw_only=True)
class GreyView:
    """Image sets one after another, read as grey images: `view[a:b]` and `view[rows]` are float32 [n, H, W].

    Nothing is kept as floats, so a view costs what its sets cost already: a byte or two a pixel. rows: not negative.
    """

    sets: tuple[ImageSet, ...]
    white: int

    def __len__(self) -> int:
        return sum(map(len, self.sets))

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self), *self.sets[0].images.shape[1:3]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Floats:
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        found = np.empty((len(rows), *self.shape[1:]), dtype=np.float32)
        start = 0
        for images in self.sets:
            mine = (rows >= start) & (rows < start + len(images))
            found[mine] = to_grey(ImageSet(images=images.images[rows[mine] - start]), white=self.white)
            start += len(images)
        return found


Greys = Floats | GreyView


def by_block(images: Greys, describe: Callable[[Floats], Described]) -> Described:
    """Rows [N, ...] that `describe` makes of grey images [n, H, W], of which a million pixels are read at a time."""
    step = max(1, BLOCK_PIXELS // math.prod(images.shape[1:]))
    return np.concatenate([describe(images[start : start + step]) for start in range(0, max(1, len(images)), step)])


def small(images: Greys, size: int) -> Floats:
    """[N, size, size]: `resize`, block by block: the images at full size are never all floats at once."""
    return by_block(images, partial(resize, size=size))


def shrunk(images: ImageSet, size: int, *, white: int) -> Floats:
    """The same of an image set."""
    return small(GreyView(sets=(images,), white=white), size)


def _grey_blocks(images: ImageSet, white: int) -> Iterator[tuple[int, Floats]]:
    step = max(1, BLOCK_PIXELS // math.prod(images.images.shape[1:]))
    for start in range(0, len(images), step):
        scaled = images.images[start : start + step].astype(np.float32)
        scaled /= np.float32(white)
        yield start, scaled.mean(axis=3) if images.channels == 3 else scaled


def resize(images: Floats, size: int | tuple[int, int]) -> Floats:
    """Area average of [N, H, W] to `size`, one side or height and width: deterministic, no aliasing when it shrinks."""
    height, width = (size, size) if isinstance(size, int) else size
    rows, columns = _area_weights(images.shape[1], height), _area_weights(images.shape[2], width)
    return np.asarray(rows @ images @ columns.T, dtype=np.float32)


@lru_cache(maxsize=32)
def _area_weights(n_in: int, n_out: int) -> Floats:
    """[n_out, n_in]: how much of each input pixel every output pixel covers, each row summing to one."""
    edges = np.linspace(0, n_in, n_out + 1)
    low = np.maximum(edges[:-1, None], np.arange(n_in)[None])
    high = np.minimum(edges[1:, None], np.arange(1, n_in + 1)[None])
    overlap = np.clip(high - low, 0, None)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True), dtype=np.float32)
