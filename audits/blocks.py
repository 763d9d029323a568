"""Large arrays a block at a time: rows in memory or mapped from a file, of which blocks alone become float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audits.pixels import Floats

Rows = NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.uint16]


def flat(block: Rows) -> Floats:
    """[N, D]: what follows the first axis as one row, in float32."""
    return np.asarray(block, dtype=np.float32).reshape(len(block), -1)


def spans(n: int, step: int) -> list[tuple[int, int]]:
    """Starts and stops of blocks of at most `step`."""
    return [(start, min(start + step, n)) for start in range(0, n, step)]
