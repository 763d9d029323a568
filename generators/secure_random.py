"""Randomness that protects people: from the operating system, never seeded, never stored, never restored.

Poisson draws and noise use these functions and nothing else (privacy.md 7). A user's seed never reaches them.
"""

from __future__ import annotations

import math
import os

import numpy as np
from numpy.typing import NDArray

# A float64 sum of 2n Gaussians cannot be inverted to its bits (Holohan and Braghin 2021, section 5.1; Opacus's n is 2).
N_SUMMED = 4


def secure_uniform(n: int) -> NDArray[np.float64]:
    """n numbers in (0, 1), 53 bits each, from the operating system."""
    bits = np.frombuffer(os.urandom(8 * n), dtype=np.uint64) >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) * 2.0**-53


def secure_normal(shape: tuple[int, ...], std: float = 1.0) -> NDArray[np.float64]:
    """Gaussian noise of standard deviation `std`, float64, as a sum of several Gaussians (Box and Muller's method)."""
    if not (math.isfinite(std) and std >= 0):
        raise ValueError(f"the noise has standard deviation {std}")
    n = math.prod(shape)
    total = np.zeros(n)
    for _ in range(N_SUMMED // 2):
        radius = np.sqrt(-2.0 * np.log(secure_uniform(n)))
        angle = 2.0 * np.pi * secure_uniform(n)
        # The two halves of one pair are independent Gaussians.
        total += radius * np.cos(angle) + radius * np.sin(angle)
    return (total * (std / math.sqrt(N_SUMMED))).reshape(shape)


def secure_symmetric_normal(size: int, std: float) -> NDArray[np.float64]:
    """Symmetric noise [size, size]: `std` on the diagonal, std / sqrt 2 off it.

    This is Gaussian noise on the upper triangle with off-diagonals scaled by sqrt 2, the vector whose Euclidean norm
    is the matrix's Frobenius norm (privacy.md 5).
    """
    noise = secure_normal((size, size), std)
    # (N + N^T) / 2 has variance std^2 on the diagonal and std^2 / 2 off it.
    return (noise + noise.T) / 2.0


def secure_poisson_draw(n: int, sample_rate: float) -> NDArray[np.bool_]:
    """Which of n subjects enter a step: each one independently with probability `sample_rate`."""
    return secure_uniform(n) < sample_rate
