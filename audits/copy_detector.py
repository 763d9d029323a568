"""Is a training image nearer than an unseen one? The margin, its threshold, and its exact test.

The margin of an image x is log((1 - r_unseen) / (1 - r_train)), with r the best registered correlation with any image
of an arm: how many times nearer (in log, on squared distance) the nearest training image is than the nearest unseen
one. Comparing x with both arms is what keeps a blurred but leak-free generator from being accused: blur raises both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.neighbours import nearest_registered, registered_correlation
from audits.pixels import Floats
from audits.stats import Doubles, dealt_p_value, rows_by_subject

RESOLUTION = 1e-3
DEPTH = 128

Subjects = NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Training images and the unseen images they are held against; grey [N, H, W], with their subjects."""

    train: Floats
    unseen: Floats
    train_subjects: Subjects
    unseen_subjects: Subjects

    @property
    def n_blocks(self) -> int:
        """Into how many blocks of at most the unseen arm's size the training subjects fall."""
        return -(-len(np.unique(self.train_subjects)) // len(np.unique(self.unseen_subjects)))

    def correlation(self, queries: Floats) -> tuple[Floats, Floats]:
        """[Q, n_train], [Q, n_unseen]: the best registered correlations of each query."""
        return registered_correlation(queries, self.train), registered_correlation(queries, self.unseen)

    def margin(self, queries: Floats) -> Doubles:
        """[Q]: the margin of each query, all training images against all unseen ones."""
        train, unseen = (nearest_registered(queries, arm)[0] for arm in (self.train, self.unseen))
        return margin(train, unseen)


def margin(train: Floats, unseen: Floats) -> Doubles:
    """Log ratio of squared distances, nearest unseen to nearest training image; positive: train is nearer."""
    return np.asarray(np.log(1 - unseen + RESOLUTION) - np.log(1 - train + RESOLUTION), dtype=np.float64)


def mirror_margins(train: Floats, unseen: Floats, subjects: Subjects, n_blocks: int, *, seed: int) -> Doubles:
    """Margins the other way round: [n_blocks, Q], the unseen arm against training blocks of its own size.

    Where nothing leaks, training and unseen subjects are exchangeable, so at equal size a margin is as often below -t
    as above t: the generator's own images show how large a margin grows by chance.
    """
    rows = rows_by_subject(subjects)
    order = np.random.default_rng(seed).permutation(len(rows))
    blocks = (np.concatenate([rows[i] for i in part]) for part in np.array_split(order, n_blocks))
    nearest_unseen = unseen.max(axis=1)
    return np.stack([-margin(train[:, block].max(axis=1), nearest_unseen) for block in blocks])


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


def margin_p_value(
    correlation: Floats, subjects: Subjects, members: NDArray[np.bool_], cut: float, *, n_draws: int, seed: int
) -> float:
    """P-value of "nothing leaked", exact: under it, which subjects were trained on is a mere deal of names.

    correlation: [Q, n_images] with training and unseen images, subjects and members: of each column. The statistic is
    the share of queries with a margin above `cut` minus the share below `-cut`; it is set against `n_draws` new deals
    of whole subjects, which keeps hubs (an ordinary chest that everything resembles) from passing for a leak.
    """
    rows = rows_by_subject(subjects)
    best = np.stack([correlation[:, columns].max(axis=1) for columns in rows], axis=1)
    order = np.argsort(-best, axis=1)[:, :DEPTH]
    ranked = np.take_along_axis(best, order, axis=1)

    def statistic(dealt: NDArray[np.bool_]) -> float:
        margins = margin(_first(ranked, dealt[order]), _first(ranked, ~dealt[order]))
        return float((margins > cut).mean() - (margins < -cut).mean())

    actual = np.array([members[columns[0]] for columns in rows])
    return dealt_p_value(statistic, actual, n_draws=n_draws, seed=seed)


def _first(ranked: Floats, where: NDArray[np.bool_]) -> Floats:
    """The highest value of each row where the mask holds; the lowest kept one when it holds nowhere."""
    column = np.where(where.any(axis=1), where.argmax(axis=1), ranked.shape[1] - 1)
    return np.asarray(np.take_along_axis(ranked, column[:, None], axis=1)[:, 0])


def _exceeding(null: Doubles, values: Doubles) -> NDArray[np.intp]:
    return np.asarray(len(null) - np.searchsorted(np.sort(null), values, side="left"))
