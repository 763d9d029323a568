"""Views of public images for the detail network: the same anatomy in another pose, shape and exposure.

Whatever is moved in from outside is reflected: rolling would tear the borders. Nothing is mirrored: the heart has its
side. Smooth warps give few public people many shapes, so that a network cannot learn one of them by heart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

GAIN, OFFSET = 0.15, 0.08
MOST_SHIFT, MOST_TURN, MOST_ZOOM = 0.08, math.radians(5), 0.10
WARP_KNOTS, WARP = 4, 0.04


def random_views(images: Tensor) -> Tensor:
    """One view each of images [n, C, S, S] in [0, 1]; draws from torch's generator.

    Half of them are only moved by whole pixels, which leaves the highest frequencies as they are.
    """
    n, device = len(images), images.device
    gain = 1 + GAIN * (2 * torch.rand(n, 1, 1, 1, device=device) - 1)
    offset = OFFSET * (2 * torch.rand(n, 1, 1, 1, device=device) - 1)
    warped = torch.rand(n, 1, 1, 1, device=device) < 0.5
    moved = torch.where(warped, _warp(images), _shift(images))
    return (moved * gain + offset).clamp(0, 1)


def _shift(images: Tensor) -> Tensor:
    """Moved by whole pixels, each its own way."""
    side = images.shape[-1]
    most = max(1, round(MOST_SHIFT * side))
    padded = functional.pad(images, (most, most, most, most), mode="reflect")
    corners = torch.randint(0, 2 * most + 1, (len(images), 2)).tolist()
    return torch.stack([one[:, y : y + side, x : x + side] for one, (y, x) in zip(padded, corners, strict=True)])


def _warp(images: Tensor) -> Tensor:
    """Shifted, turned, zoomed, and bent by a smooth random field."""
    n, side, device = len(images), images.shape[-1], images.device
    turn = MOST_TURN * (2 * torch.rand(n, device=device) - 1)
    zoom = 1 + MOST_ZOOM * (2 * torch.rand(n, 2, device=device) - 1)
    shift = 2 * MOST_SHIFT * (2 * torch.rand(n, 2, device=device) - 1)
    rows = [zoom[:, 0] * turn.cos(), -turn.sin(), shift[:, 0], turn.sin(), zoom[:, 1] * turn.cos(), shift[:, 1]]
    grid = functional.affine_grid(torch.stack(rows, dim=1).reshape(n, 2, 3), list(images.shape), align_corners=False)
    knots = WARP * torch.randn(n, 2, WARP_KNOTS, WARP_KNOTS, device=device)
    bend = functional.interpolate(knots, size=(side, side), mode="bicubic", align_corners=True)
    grid = grid + bend.movedim(1, -1)
    return functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
