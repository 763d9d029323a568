"""Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003, Asilomar, p. 1398) of many pairs at once.

Written here because the packages that have it bring torchvision or lightning, or have rested since 2023.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from audits.pixels import Floats
from audits.stats import Doubles

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SIGMA, RADIUS = 1.5, 5
WINDOW = 2 * RADIUS + 1
STABLE = (0.01**2, 0.03**2)


def n_scales(height: int, width: int) -> int:
    """How many of the five scales images of this size have room for: 5 from 176 px, 3 at 64 px, 0 below 11."""
    return sum(min(height, width) >> scale >= WINDOW for scale in range(len(WEIGHTS)))


def ms_ssim(left: Floats, right: Floats) -> Doubles:
    """[N] similarities of pairs of grey images [N, H, W] in [0, 1], 1 for equal ones.

    Where there is room for fewer scales, their weights are raised to sum to one; negative contrast terms count as 0.
    Raises ValueError below 11 pixels a side.
    """
    scales = n_scales(*left.shape[1:])
    if not scales:
        raise ValueError(f"images of less than {WINDOW} pixels a side")
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    similarity = np.ones(len(left))
    for scale, weight in enumerate(weights):
        luminance, contrast = _ssim(left, right)
        term = contrast if scale < scales - 1 else luminance
        similarity *= np.maximum(term, 0) ** weight
        left, right = _halved(left), _halved(right)
    return similarity


def _ssim(left: Floats, right: Floats) -> tuple[Doubles, Doubles]:
    """[N] mean SSIM, and the mean of its contrast and structure term alone."""
    mean_l, mean_r = _smooth(left), _smooth(right)
    spread = _smooth(left * left) + _smooth(right * right) - mean_l**2 - mean_r**2
    shared = _smooth(left * right) - mean_l * mean_r
    contrast = (2 * shared + STABLE[1]) / (spread + STABLE[1])
    luminance = (2 * mean_l * mean_r + STABLE[0]) / (mean_l**2 + mean_r**2 + STABLE[0])
    return (luminance * contrast).mean(axis=(1, 2)), contrast.mean(axis=(1, 2))


def _smooth(images: Floats) -> Doubles:
    """Gaussian mean over 11 x 11 pixels, where the window lies within the image."""
    smooth = ndimage.gaussian_filter(images, (0, SIGMA, SIGMA), radius=(0, RADIUS, RADIUS))
    return np.asarray(smooth[:, RADIUS:-RADIUS, RADIUS:-RADIUS], dtype=np.float64)


def _halved(images: Floats) -> Floats:
    """Means of 2 x 2 pixels."""
    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    even = images[:, :height, :width]
    return np.asarray((even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4)
