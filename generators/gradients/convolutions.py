"""Weight gradients of a convolution, one a subject, by whichever product is cheapest for its shape.

All functions take the layer's input `ahead` [S, v, in, ...] and the gradient of its output `back` [S, v, out, ...], and
return [S, out, in, high, wide]: the sum over a subject's v rows. On one core, against one ordinary weight gradient,
groups cost about as much where channels are many, and several times as much where they are few.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[int, int]
# Up to so many channels in or out, unfolding costs less than groups.
NARROW = 8


@dataclass(frozen=True)
class Geometry:
    """Of one convolution: its weight's shape [out, in, high, wide], stride, padding and dilation."""

    shape: torch.Size
    step: Pair
    edge: Pair
    spread: Pair

    @property
    def is_plain(self) -> bool:
        """Whether the gradient of the output can be unfolded in place of the input."""
        return self.step == (1, 1) and self.spread == (1, 1) and max(self.edge) < min(self.shape[2:])


def weight_gradients(ahead: Tensor, back: Tensor, geometry: Geometry) -> Tensor:
    n_out, n_in = geometry.shape[:2]
    if n_in <= NARROW:
        return _narrow_input(ahead, back, geometry)
    if n_out <= NARROW and geometry.is_plain:
        return _narrow_output(ahead, back, geometry)
    return _grouped(ahead, back, geometry)


def _grouped(ahead: Tensor, back: Tensor, geometry: Geometry) -> Tensor:
    """One convolution with a group for each subject: nothing is unfolded."""
    (n, views), (n_out, *inner) = ahead.shape[:2], geometry.shape
    pile = ahead.transpose(0, 1).reshape(views, -1, *ahead.shape[3:])
    piled = back.transpose(0, 1).reshape(views, -1, *back.shape[3:])
    all_weights = back.new_empty(1).expand(n * n_out, *inner)
    found: Tensor = torch.ops.aten.convolution_backward(
        piled,
        pile,
        all_weights,
        None,
        geometry.step,
        geometry.edge,
        geometry.spread,
        False,
        (0, 0),
        n,
        (False, True, False),
    )[1]
    return found.reshape(n, *geometry.shape)


def _narrow_input(ahead: Tensor, back: Tensor, geometry: Geometry) -> Tensor:
    """A matrix product with the unfolded input."""
    seen = windows(ahead.flatten(0, 1), geometry.shape[2:], geometry.step, geometry.edge, geometry.spread)
    columns = seen.flatten(4).flatten(1, 3)
    product: Tensor = back.flatten(0, 1).flatten(2) @ columns.transpose(1, 2)
    return product.reshape(*back.shape[:2], *geometry.shape).sum(1)


def _narrow_output(ahead: Tensor, back: Tensor, geometry: Geometry) -> Tensor:
    """At stride 1 the output's gradient is unfolded in place of the input."""
    n_out, n_in, high, wide = geometry.shape
    edge = (high - 1 - geometry.edge[0], wide - 1 - geometry.edge[1])
    columns = windows(back.flatten(0, 1), (high, wide), edge=edge).flatten(4).flatten(1, 3)
    product: Tensor = columns @ ahead.flatten(0, 1).flatten(2).transpose(1, 2)
    # The gradient at distance (i, j) before a pixel meets that pixel through the kernel's opposite place.
    by_place = product.reshape(*back.shape[:2], n_out, high, wide, n_in).sum(1)
    return by_place.flip(2, 3).permute(0, 1, 4, 2, 3)


def windows(
    images: Tensor, size: Pair | torch.Size, step: Pair = (1, 1), edge: Pair = (0, 0), spread: Pair = (1, 1)
) -> Tensor:
    """[N, c, high, wide, places down, places across] of padded [N, c, H, W]: a view that holds nothing twice."""
    padded = functional.pad(images, (edge[1], edge[1], edge[0], edge[0]))
    places = [
        (side - reach * (length - 1) - 1) // pace + 1
        for side, length, pace, reach in zip(padded.shape[2:], size, step, spread, strict=True)
    ]
    one, channel, down, across = padded.stride()
    strides = (one, channel, down * spread[0], across * spread[1], down * step[0], across * step[1])
    return padded.as_strided((*padded.shape[:2], *size, *places), strides)
