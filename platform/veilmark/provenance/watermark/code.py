"""Convolutional code of constraint length 9 and rate 1/3 (generators 557, 663, 711 octal), decoded by soft Viterbi.

Eight zero bits end every message, so the decoder knows the first and the last state. Source of the generators:
J. G. Proakis, Digital Communications, table of rate-1/3 codes of maximum free distance (18 for K = 9).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MEMORY = 8
RATE = 3
N_STATES = 1 << MEMORY
_GENERATORS = (0o557, 0o663, 0o711)
_FORBIDDEN = np.float32(-1e9)


def coded_length(n_bits: int) -> int:
    """Coded bits of a message of `n_bits`."""
    return RATE * (n_bits + MEMORY)


def encode(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Messages [N, K] to code words [N, 3 (K + 8)]."""
    n, n_bits = bits.shape
    padded = np.zeros((n, MEMORY + n_bits + MEMORY), np.uint8)
    padded[:, MEMORY : MEMORY + n_bits] = bits
    coded = np.zeros((n, n_bits + MEMORY, RATE), np.uint8)
    for output, generator in enumerate(_GENERATORS):
        for delay in range(MEMORY + 1):
            if generator >> delay & 1:
                coded[:, :, output] ^= padded[:, MEMORY - delay : MEMORY - delay + n_bits + MEMORY]
    return coded.reshape(n, -1)


def decode(soft: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The most likely messages [N, K] for soft values [N, 3 (K + 8)], where a positive value speaks for bit 0.

    State 2j + b is reached by bit b from state j or from state j + 128, which lets one array operation a step serve
    all states of all messages.
    """
    n, n_coded = soft.shape
    n_steps = n_coded // RATE
    branches = (soft.reshape(n * n_steps, RATE).astype(np.float32) @ _branch_signs()).reshape(n, n_steps, 2, 128, 2)
    branches[:, n_steps - MEMORY :, :, :, 1] = _FORBIDDEN
    metric = np.full((n, 2, 128), _FORBIDDEN, np.float32)
    metric[:, 0, 0] = 0
    came_from_upper = np.empty((n_steps, n, N_STATES), np.bool_)
    for step in range(n_steps):
        arriving = metric[..., None] + branches[:, step]
        came_from_upper[step] = (arriving[:, 1] > arriving[:, 0]).reshape(n, N_STATES)
        metric = np.maximum(arriving[:, 0], arriving[:, 1]).reshape(n, 2, 128)
    return _trace_back(came_from_upper)


def _trace_back(came_from_upper: NDArray[np.bool_]) -> NDArray[np.uint8]:
    n_steps, n, _ = came_from_upper.shape
    state = np.zeros(n, np.intp)
    bits = np.zeros((n, n_steps), np.uint8)
    rows = np.arange(n)
    for step in range(n_steps - 1, -1, -1):
        bits[:, step] = state & 1
        state = state >> 1 | came_from_upper[step, rows, state].astype(np.intp) << 7
    return bits[:, : n_steps - MEMORY]


@lru_cache(maxsize=1)
def _branch_signs() -> NDArray[np.float32]:
    """[3, 2 * 128 * 2]: +1 where the branch (upper or lower predecessor, j, bit) sends 0, -1 where it sends 1."""
    upper, j, bit = np.meshgrid(np.arange(2), np.arange(128), np.arange(2), indexing="ij")
    register = (upper << 8 | j << 1 | bit).ravel()
    parity = [np.bitwise_count(register & generator) & 1 for generator in _GENERATORS]
    return (1 - 2 * np.stack(parity).astype(np.float32)).astype(np.float32)
