"""Is a training image nearer than an unseen one? The margin, its threshold, and its exact test.

The margin of an image x is log((1 - r_unseen) / (1 - r_train)), with r the best registered correlation with any image
of an arm: how many times nearer (in log, on squared distance) the nearest training image is than the nearest unseen
one. Comparing x with both arms is what keeps a blurred but leak-free generator from being accused: blur raises both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audits.copies.ranking import Ranked
from audits.neighbours import nearest_registered
from audits.pixels import Floats, Greys
from audits.stats import Doubles, dealt_p_value

RESOLUTION = 1e-3


def margins(queries: Greys, train: Greys, unseen: Greys) -> Doubles:
    """[Q]: the margin of each query, all training images against all unseen ones."""
    near, far = (nearest_registered(queries, arm)[0] for arm in (train, unseen))
    return margin(near, far)


def margin(train: Floats, unseen: Floats) -> Doubles:
    """Log ratio of squared distances, nearest unseen to nearest training image; positive: train is nearer."""
    return np.asarray(np.log(1 - unseen + RESOLUTION) - np.log(1 - train + RESOLUTION), dtype=np.float64)


def mirror_margins(blocks: Floats, unseen: Floats) -> Doubles:
    """Margins the other way round: [n_blocks, Q], the unseen arm against training blocks of its own size.

    blocks: [Q, n_blocks], best correlation with each; unseen: [Q]. Where nothing leaks, training and unseen subjects
    are exchangeable, so at equal size a margin is as often below -t as above t: the generator's own images show how
    large a margin grows by chance.
    """
    return np.stack([-margin(block, unseen) for block in blocks.T])


def threshold(real: Doubles, mirrored: Doubles, *, alarm_rate: float) -> float:
    """The margin that real unseen images, and chance on the generator's own images, exceed at most at `alarm_rate`.

    real: margins of unseen real images (conformal quantile, Vovk et al. 2005); mirrored: [blocks, Q], charged once a
    block, as any of the blocks may raise the alarm. Infinite when there are too few real images to set it.
    """
    rank = int(np.ceil((len(real) + 1) * (1 - alarm_rate)))
    if rank > len(real):
        return float("inf")
    chance = np.sort(mirrored.ravel())[::-1]
    allowed = int(alarm_rate * mirrored.shape[1])
    return max(float(np.sort(real)[rank - 1]), float(chance[min(allowed, len(chance) - 1)]))


def p_values(margins: Doubles, real: Doubles, mirrored: Doubles) -> Doubles:
    """[Q]: per-image p-value, the larger of the one among real unseen images and the one by the mirror."""
    among_real = (1 + _exceeding(real, margins)) / (len(real) + 1)
    by_mirror = (1 + _exceeding(mirrored.ravel(), margins)) / (mirrored.shape[1] + 1)
    return np.asarray(np.minimum(1, np.maximum(among_real, by_mirror)), dtype=np.float64)


def margin_p_value(ranked: Ranked, members: NDArray[np.bool_], cut: float, *, n_draws: int, seed: int) -> float:
    """P-value of "nothing leaked", exact: under it, which people were trained on is a mere deal of names.

    members: of each person of the lineup. The statistic is the share of queries with a margin above `cut` minus the
    share below `-cut`; it is set against `n_draws` new deals of whole people, which keeps hubs (an ordinary chest that
    everything resembles) from passing for a leak.
    """

    gaps = np.log(1 - ranked.correlation + RESOLUTION)
    gaps -= gaps[:, :1].copy()
    within = np.count_nonzero(gaps <= abs(cut), axis=1)  # a query counts where its first so many people are of one side
    able = np.flatnonzero(within < gaps.shape[1])
    people, within = ranked.person, within[able]

    def statistic(dealt: NDArray[np.bool_]) -> float:
        rows, left, side, total = able, within, dealt[people[able, 0]], 0
        for column in range(1, people.shape[1]):
            agree = dealt[people[rows, column]] == side
            won = left <= column
            total += int(np.count_nonzero(won & side)) - int(np.count_nonzero(won & ~side))
            rows, left, side = (part[agree & ~won] for part in (rows, left, side))
            if not len(rows):
                break
        return total / len(people)

    return dealt_p_value(statistic, members, n_draws=n_draws, seed=seed)


def _exceeding(null: Doubles, values: Doubles) -> NDArray[np.intp]:
    return np.asarray(len(null) - np.searchsorted(np.sort(null), values, side="left"))
