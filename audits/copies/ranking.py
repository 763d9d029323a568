"""Who is most alike, of many images of several groups of people: the matrix of all pairs is never held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.neighbours import BLOCK_FLOATS, keep_best, registered_blocks
from audits.pixels import Floats, Greys, GreyView
from generators.data import ImageSet

# People kept of each image. Members and others both occur among the nearest so many, unless one side is very small.
DEPTH = 128

Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Lineup:
    """Real images group by group and, within a group, person by person.

    view: the G images. group, person: numbers [G] that never fall. row: [G], the place of each in its own arm.
    """

    view: GreyView
    group: Rows
    person: Rows
    row: Rows

    @classmethod
    def of(cls, groups: Sequence[tuple[ImageSet, Rows]], *, white: int) -> Lineup:
        """Of groups, each some rows of an arm. A person of two groups counts as two."""
        sets, people, rows, n_people = [], [], [], 0
        for arm, chosen in groups:
            names, number = np.unique(arm.subjects()[chosen], return_inverse=True)
            order = np.argsort(number, kind="stable")
            rows.append(chosen[order])
            sets.append(arm.select(rows[-1]))
            people.append(number[order] + n_people)
            n_people += len(names)
        return cls(
            view=GreyView(sets=tuple(sets), white=white),
            group=np.repeat(np.arange(len(rows)), [len(part) for part in rows]),
            person=np.concatenate(people),
            row=np.concatenate(rows),
        )


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """best, nearest: [Q, n_groups], the highest correlation with an image of each group, and that image's place in the
    lineup. correlation, person: [Q, depth], of the people who are most alike, most alike first; one may stand twice.
    """

    best: Floats
    nearest: Rows
    correlation: Floats
    person: NDArray[np.int32]


def rank(queries: Greys, lineup: Lineup, *, block_floats: int = BLOCK_FLOATS) -> Ranked:
    """By `registered_correlation`. Beside the images, memory holds some nine blocks and a kilobyte a query."""
    n, n_groups = len(queries), int(lineup.group[-1]) + 1
    depth = min(DEPTH, int(lineup.person[-1]) + 1)
    best, nearest = np.full((n_groups, n), -2, dtype=np.float32), np.zeros((n_groups, n), dtype=np.intp)
    correlation, person = np.full((n, depth), -2, dtype=np.float32), np.zeros((n, depth), dtype=np.int32)
    for rows, columns, block in registered_blocks(queries, lineup.view, block_floats):
        for start, stop, group in _runs(lineup.group[columns]):
            keep_best(best[group, rows], nearest[group, rows], block[:, start:stop], columns.start + start)
        runs = _runs(lineup.person[columns])
        highest = np.maximum.reduceat(block, [start for start, _, _ in runs], axis=1)
        who = np.array([name for _, _, name in runs], dtype=np.int32)
        _keep_highest(correlation[rows], person[rows], highest, who)
    order = np.argsort(-correlation, axis=1, kind="stable")
    return Ranked(
        best=best.T,
        nearest=nearest.T,
        correlation=np.take_along_axis(correlation, order, axis=1),
        person=np.take_along_axis(person, order, axis=1),
    )


def _runs(numbers: Rows) -> list[tuple[int, int, int]]:
    """Where each run of equal numbers starts and stops, and its number."""
    edges = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    return [(a, b, int(numbers[a])) for a, b in zip(edges, [*edges[1:], len(numbers)], strict=True)]


def _keep_highest(correlation: Floats, person: NDArray[np.int32], block: Floats, who: NDArray[np.int32]) -> None:
    """Keep in place the highest of what is held, [q, depth], and of a block [q, people]."""
    depth = correlation.shape[1]
    values = np.concatenate([correlation, block], axis=1)
    people = np.concatenate([person, np.broadcast_to(who, block.shape)], axis=1)
    kept = np.argpartition(-values, depth - 1, axis=1)[:, :depth]
    correlation[:] = np.take_along_axis(values, kept, axis=1)
    person[:] = np.take_along_axis(people, kept, axis=1)
