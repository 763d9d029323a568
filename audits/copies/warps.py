"""Moving images: flip, rotation, zoom, shift and smooth bending, by bilinear interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from audits.pixels import Floats

Rows = NDArray[np.intp]
Numbers = NDArray[np.float32] | NDArray[np.float64] | float


@dataclass(frozen=True, kw_only=True)
class Warp:
    """One movement for each of n images; a single number holds for all.

    angle: degrees. zoom: above 1 enlarges. shift_x, shift_y: shares of the width, to the right and down. flip: left
    and right are exchanged first.
    """

    n: int
    angle: Numbers = 0.0
    zoom: Numbers = 1.0
    shift_x: Numbers = 0.0
    shift_y: Numbers = 0.0
    flip: NDArray[np.bool_] | bool = False

    def sources(self, height: int, width: int) -> tuple[Floats, Floats]:
        """Row and column [n, height, width] from which each pixel of the moved image is taken, in pixels."""
        y = ((np.arange(height) + 0.5 - height / 2) / width)[None, :, None] - _cells(self.shift_y, self.n)
        x = ((np.arange(width) + 0.5) / width - 0.5)[None, None, :] - _cells(self.shift_x, self.n)
        turn, zoom = np.deg2rad(_cells(self.angle, self.n)), _cells(self.zoom, self.n)
        back_x = (np.cos(turn) * x + np.sin(turn) * y) / zoom * np.where(_cells(self.flip, self.n) > 0, -1, 1)
        back_y = (np.cos(turn) * y - np.sin(turn) * x) / zoom
        row, column = back_y * width + (height - 1) / 2, back_x * width + (width - 1) / 2
        return row.astype(np.float32), column.astype(np.float32)


def warped(images: Floats, warp: Warp, *, bend: Floats | None = None) -> Floats:
    """Images [n, H, W], each moved its own way; beyond the border the border is repeated.

    bend: further displacement [2, n, H, W] (rows, columns) as shares of the width.
    """
    _, height, width = images.shape
    row, column = warp.sources(height, width)
    if bend is not None:
        row, column = row + bend[0] * width, column + bend[1] * width
    image = np.arange(len(images))[:, None, None]
    moved = sum(images[image, y, x] * weight for y, x, weight in _corners(row, column, height, width))
    return np.asarray(moved, dtype=np.float32)


def movement_matrix(warp: Warp, side: int, inner: slice) -> sparse.csr_matrix:
    """[n * k * k, side * side]: from an image's pixels to the `inner` square, k a side, of each of n movements."""
    row, column = (at[:, inner, inner].ravel() for at in warp.sources(side, side))
    n = len(row)
    parts = [
        sparse.csr_matrix((weight, (np.arange(n), y * side + x)), shape=(n, side**2))
        for y, x, weight in _corners(row, column, side, side)
    ]
    return sparse.csr_matrix(sum(parts[1:], parts[0])).astype(np.float32)


def _corners(row: Floats, column: Floats, height: int, width: int) -> list[tuple[Rows, Rows, Floats]]:
    """Rows, columns and weights of the four pixels around each point."""
    row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    top, left = np.minimum(row.astype(np.intp), height - 2), np.minimum(column.astype(np.intp), width - 2)
    down, right = row - top, column - left
    return [
        (top, left, (1 - down) * (1 - right)),
        (top, left + 1, (1 - down) * right),
        (top + 1, left, down * (1 - right)),
        (top + 1, left + 1, down * right),
    ]


def _cells(value: Numbers | NDArray[np.bool_] | bool, n: int) -> NDArray[np.float64]:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (n,))[:, None, None]
