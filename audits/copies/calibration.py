"""From scores to a verdict: how often chance gives as many copies, dealing anew who was trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audits.pixels import Floats
from audits.stats import dealt_p_value

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]


def best_among(score: Floats, candidates: Rows, members: Mask) -> Floats:
    """[Q]: best score [Q, k] among candidates that are members; 0, no evidence at all, where none is.

    members: of each gallery row.
    """
    return np.asarray(np.where(members[candidates], score, 0).max(axis=1), dtype=np.float32)


def hits_p_value(hits: Mask, people: Rows, members: Mask, *, n_draws: int, seed: int) -> float:
    """P-value of "nothing leaked", exact: under it, who was trained on is a mere deal of names.

    hits: [Q, k], candidates above the threshold; people: [Q, k], the person of each; members: [n_people]. The statistic
    is how many images hit a member minus how many hit somebody else, set against `n_draws` new deals.
    """
    query = np.nonzero(hits)[0]
    hit = people[hits]

    def statistic(dealt: Mask) -> int:
        ours, theirs = (len(np.unique(query[side])) for side in (dealt[hit], ~dealt[hit]))
        return ours - theirs

    return dealt_p_value(statistic, members, n_draws=n_draws, seed=seed)
