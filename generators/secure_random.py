"""Randomness that protects people: from the operating system, never seeded, never stored, never restored.

Poisson draws and noise use these functions and nothing else (privacy.md 7). A user's seed never reaches them. Noise,
of which a step needs many megabytes, is the key stream of AES-256 in counter mode under a key that is drawn from the
operating system for that one piece of noise and forgotten with it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A float64 sum of 2n Gaussians cannot be inverted to its bits (Holohan and Braghin 2021, section 5.1; Opacus's n is 2).
N_SUMMED = 4
# Noise is drawn in pieces that stay in a processor's cache.
PIECE = 1 << 14
# For fewer numbers it is not worth loading torch, whose sine is several times faster than NumPy's.
MANY = 1 << 16


def secure_uniform(n: int) -> Array:
    """n numbers in (0, 1), 53 bits each, from the operating system."""
    return _unit(os.urandom(8 * n))


def _unit(words: bytes | memoryview) -> Array:
    """Numbers (2k + 1) / 2^53, k of 52 bits, for every eight random bytes: exact, never 0 and never 1."""
    bits = np.frombuffer(words, dtype=np.uint64) >> np.uint64(12)
    bits |= np.uint64(0x3FF0000000000000)  # the exponent of [1, 2)
    numbers = bits.view(np.float64)
    numbers -= 1.0 - 2.0**-53
    return numbers


class _Stream:
    """Random bytes under one fresh key, for one piece of noise."""

    def __init__(self) -> None:
        cipher = Cipher(algorithms.AES(os.urandom(32)), modes.CTR(os.urandom(16)))
        self._encryptor = cipher.encryptor()

    def uniform(self, n: int) -> Array:
        return _unit(self._encryptor.update(bytes(8 * n)))


def secure_normal(shape: tuple[int, ...], std: float = 1.0, *, threads: int = 1) -> Array:
    """Gaussian noise of standard deviation `std`, float64, as a sum of several Gaussians (Box and Muller's method).

    threads: how many draw at once; it changes speed alone.
    """
    if not (math.isfinite(std) and std >= 0):
        raise ValueError(f"the noise has standard deviation {std}")
    total = np.zeros(math.prod(shape))
    if std > 0 and total.size:
        turns = _torch_turns if total.size >= MANY else _turns
        scale = std / math.sqrt(N_SUMMED)
        pieces = np.array_split(total, -(-total.size // (PIECE * 16)))

        def fill(piece: Array) -> None:
            _fill(piece, scale, turns)

        if threads > 1 and len(pieces) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, pieces))
        else:
            for piece in pieces:
                fill(piece)
    return total.reshape(shape)


def _fill(noise: Array, scale: float, turns: Callable[[Array], Array]) -> None:
    """Noise of standard deviation `scale` sqrt(N_SUMMED) in place of zeros, under a key of its own."""
    stream = _Stream()
    for start in range(0, len(noise), PIECE):
        part = noise[start : start + PIECE]
        for _ in range(N_SUMMED // 2):
            radius = np.log(stream.uniform(len(part)))
            radius *= -2.0 * scale**2
            np.sqrt(radius, out=radius)
            # The two halves of one pair are independent Gaussians: both are added.
            radius *= turns(stream.uniform(len(part)))
            part += radius


def _turns(uniform: Array) -> Array:
    """cos a + sin a for a = 2 pi times each number."""
    angle = 2.0 * np.pi * uniform
    return np.asarray(np.cos(angle) + np.sin(angle))


def _torch_turns(uniform: Array) -> Array:
    """The same by torch."""
    import torch  # noqa: PLC0415 (a release of a few numbers needs no torch)

    angle = torch.from_numpy(uniform).mul_(2.0 * math.pi)
    turned: Array = torch.cos(angle).add_(angle.sin_()).numpy()
    return turned


def secure_symmetric_normal(size: int, std: float) -> Array:
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
