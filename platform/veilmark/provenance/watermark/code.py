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
_UPPER = N_STATES // 2  # the first of the upper half of the states
_FREE_DISTANCE = 18
_DECODED_AT_ONCE = 256  # keeps the memory of a large batch small
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


def signs(bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Messages [N, K] to code words [N, 3 (K + 8)] of +1 for bit 0 and -1 for bit 1."""
    return 1 - 2 * encode(bits).astype(np.float32)


def is_nearest(soft: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether `decode` gives the messages of `words` (`signs`), [N], where that is certain without decoding; or False.

    Any other code word differs in 18 places or more, so it fits worse if even the 18 places that agree least agree.
    """
    least = np.partition(soft * words, _FREE_DISTANCE - 1, axis=1)[:, :_FREE_DISTANCE]
    certain: NDArray[np.bool_] = least.sum(axis=1) > 0
    return certain


def decode(soft: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The most likely messages [N, K] for soft values [N, 3 (K + 8)], where a positive value speaks for bit 0."""
    return candidates(soft, 1)[:, 0]


def candidates(soft: NDArray[np.float32], n: int) -> NDArray[np.uint8]:
    """The most likely message and `n` - 1 others, [N, n, K], of which the second is the second most likely.

    The others leave the best path once, where that costs least (the first step of a list Viterbi decoder, N. Seshadri
    and C.-E. W. Sundberg, IEEE Trans. Commun. 42, 1994).
    """
    parts = np.split(soft.astype(np.float32), range(_DECODED_AT_ONCE, len(soft), _DECODED_AT_ONCE))
    return np.concatenate([_listed(part, n) for part in parts])


def _listed(soft: NDArray[np.float32], n: int) -> NDArray[np.uint8]:
    lead = _leads(soft)
    n_steps, _, n_messages = lead.shape
    best = _path(lead, np.arange(n_messages))
    cost = np.abs(np.take_along_axis(lead, best[1:, None], axis=1)[:, 0])
    leave = np.argsort(cost, axis=0)[: n - 1]
    others = _path(lead, np.tile(np.arange(n_messages), n - 1), leave.ravel())
    states = np.concatenate([best, others], axis=1)[1 : n_steps - MEMORY + 1]
    return (states.reshape(len(states), n, n_messages).transpose(2, 1, 0) & 1).astype(np.uint8)


def _leads(soft: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much better the upper predecessor of each state fits than the lower one, [steps, 256, N].

    State 2j + b is reached by bit b from state j or from state j + 128, which lets a few array operations a step serve
    all states of all messages. All generators have their first and last tap, so the other bit, or the other
    predecessor, turns all three outputs over: one value a pair of states is enough.
    """
    n, n_coded = soft.shape
    n_steps = n_coded // RATE
    branches = _zero_branches() @ soft.reshape(n, n_steps, RATE).transpose(1, 2, 0)
    metric = np.full((N_STATES, n), _FORBIDDEN, np.float32)
    metric[0] = 0
    lead = np.empty((n_steps, N_STATES, n), np.float32)
    for step, branch in enumerate(branches):
        lower, upper = metric[:_UPPER], metric[_UPPER:]
        metric = np.empty((N_STATES, n), np.float32)
        ways = ((lower + branch, upper - branch), (lower - branch, upper + branch))
        for bit, (by_lower, by_upper) in enumerate(ways):
            np.subtract(by_upper, by_lower, out=lead[step, bit::2])
            np.maximum(by_upper, by_lower, out=metric[bit::2])
    return lead


def _path(
    lead: NDArray[np.float32], messages: NDArray[np.intp], leave: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """The states [steps + 1, P] of the best path of each of `messages` [P], or of the best that takes the worse
    predecessor at step `leave` [P].

    A state holds the last eight bits, so ending in state 0 takes the eight zero bits that end every message.
    """
    n_steps = len(lead)
    states = np.zeros((n_steps + 1, len(messages)), np.intp)
    for step in range(n_steps - 1, -1, -1):
        from_upper = lead[step, states[step + 1], messages] > 0
        if leave is not None:
            from_upper ^= leave == step
        states[step] = (states[step + 1] >> 1) + from_upper * _UPPER
    return states


@lru_cache(maxsize=1)
def _zero_branches() -> NDArray[np.float32]:
    """[128, 3]: +1 where bit 0 from the lower state j sends 0, -1 where it sends 1."""
    register = np.arange(_UPPER) << 1
    parity = [np.bitwise_count(register & generator) & 1 for generator in _GENERATORS]
    return (1 - 2 * np.stack(parity, axis=1).astype(np.float32)).astype(np.float32)
