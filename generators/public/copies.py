"""Whether drawn images paste public ones: fine structure compared, place by place, with public images' own spread.

The low-frequency anatomy of two chests is alike; their fine structure is not. So images are high-passed, freed of what
all public images share, and correlated at the same place and a few shifts; how alike different public people are tells
what is no copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from generators.latent.basis import Array

Images = NDArray[np.float32]
BLUR = 1 / 32  # of the side: two pixels at 64
FLOOR = 0.5  # a correlation that unrelated radiographs do not reach: few public images tell too little by themselves
MOST_SHARE = 0.05
MOST_PUBLIC = 1500
SHIFTS = (-1, 0, 1)
SAME = 0.98  # two public images that alike are one image twice, not two people


@dataclass(frozen=True, kw_only=True)
class CopyCheck:
    """threshold: the correlation above which an image counts as a copy; nearest [n]: each image's largest."""

    threshold: float
    nearest: Array

    @property
    def share(self) -> float:
        """The share of images that count as copies."""
        return float((self.nearest > self.threshold).mean())

    @property
    def passed(self) -> bool:
        return self.share <= MOST_SHARE

    @property
    def note(self) -> str:
        """One sentence for the card: computed from public images and outputs of the release."""
        return (
            f"{self.share:.1%} of {len(self.nearest)} drawn images have fine structure that correlates with a public "
            f"image above {self.threshold:.2f}, beyond which public images of different people do not go"
        )


def check_copies(drawn: Images, public: Images) -> CopyCheck:
    """Compare drawn images [n, S, S] with public ones [m, S, S]."""
    public = public[np.linspace(0, len(public) - 1, min(len(public), MOST_PUBLIC)).astype(np.intp)]
    fine = _fine(public)
    common = fine.mean(0) if len(public) > 1 else np.zeros_like(fine[0])
    own = fine - common
    among = np.where((alike := _correlations(own, own)) > SAME, -1.0, alike)
    usual = float(np.quantile(among.max(1), 0.99)) if len(public) > 1 else 0.0
    return CopyCheck(threshold=max(FLOOR, usual), nearest=_correlations(_fine(drawn) - common, own).max(1))


def _correlations(images: Images, public: Images) -> Array:
    """The largest normalised correlation [n, m] of fine structure [., S, S] over small shifts."""
    step = max(1, images.shape[1] // 64)
    rows = _rows(images)
    best: Array = np.full((len(images), len(public)), -1.0)
    for y in SHIFTS:
        for x in SHIFTS:
            best = np.maximum(best, rows @ _rows(np.roll(public, (y * step, x * step), axis=(1, 2))).T)
    return best


def _rows(fine: Images) -> Images:
    """Flattened, of mean 0 and norm 1."""
    rows = fine.reshape(len(fine), -1)
    rows = rows - rows.mean(1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _fine(images: Images) -> Images:
    """High-passed images; local contrast evened, so that no bright edge outweighs ribs."""
    width = BLUR * images.shape[1]
    fine = images - gaussian_filter(images, (0, width, width), mode="reflect")
    local = np.sqrt(gaussian_filter(fine**2, (0, 2 * width, 2 * width), mode="reflect"))
    return np.asarray(fine / (local + 0.01), dtype=np.float32)
