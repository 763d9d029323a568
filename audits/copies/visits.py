"""Is this another image of the same person? All parts are compared, with every real image or the most alike of them.

The embedding of the copy detectors does not help here: on phantoms it finds hardly any other visit at one false alarm
in a hundred, while parts that may each move on their own find most (measured in `audits/README.md`). What one body
shows at each place, beyond what other people show there, is learned on people of whom only the auditor knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.copies.parts import SIDE, Parts, learn_parts
from audits.copies.warps import Warp, warped
from audits.pixels import Floats, resize
from audits.stats import Doubles, dealt_p_value, rows_by_subject

N_RETRIEVED = 256
SHIFTS = (-2, 0, 2)  # pixels of 32, both ways, under which candidates are looked for
QUERY_BLOCK = 256
ORDINARY = 0.95

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Subjects = NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """candidates: gallery rows [Q, k]. score: mean correlation [Q, k] of all parts, each moved to where it fits."""

    candidates: Rows
    score: Floats

    def best(self, allowed: Mask) -> Doubles:
        """[Q]: the best score among the allowed, [Q, k]; 0, no likeness at all, where none is."""
        return np.asarray(np.where(allowed, self.score, 0).max(axis=1), dtype=np.float64)

    def split(self, *n: int) -> list[Likeness]:
        """The first n[0] queries, the next n[1], and so on."""
        ends = np.cumsum(n).tolist()
        parts = [slice(end - length, end) for end, length in zip(ends, n, strict=True)]
        return [Likeness(candidates=self.candidates[part], score=self.score[part]) for part in parts]


@dataclass(frozen=True, kw_only=True)
class VisitMatcher:
    """parts: what is compared. ordinary: a likeness that the best stranger of one person in twenty exceeds."""

    parts: Parts
    ordinary: float

    def match(self, queries: Floats, gallery: Floats) -> Likeness:
        """Of each query [Q, H, W] the 256 images of the gallery that are most alike at a glance, looked at closely."""
        return _match(self.parts, queries, gallery)


def learn_visits(grey: Floats, subjects: Subjects) -> VisitMatcher:
    """Learn from images [N, H, W] in [0, 1] of people of whom no generator and no test knows."""
    parts = learn_parts(grey)
    found = _match(parts, grey, grey)
    best = found.best(subjects[found.candidates] != subjects[:, None])
    return VisitMatcher(parts=parts, ordinary=float(np.quantile(by_person(best, subjects), ORDINARY)))


def by_person(score: Doubles, subjects: Subjects) -> Doubles:
    """The best score of each person: no image of theirs scores more."""
    return np.array([score[rows].max() for rows in rows_by_subject(subjects)], dtype=np.float64)


def links_p_value(found: Likeness, person: Rows, members: Mask, *, ordinary: float, n_draws: int, seed: int) -> float:
    """P-value of "nothing leaked", exact: under it, who was trained on is a mere deal of names.

    person: number of the person of each gallery row; members: [n_people]. The statistic is how far the images' best
    members stand above the ordinary, in sum, minus the same for their best others.
    """
    excess = found.score - ordinary
    query, column = np.nonzero(excess > 0)
    order = np.argsort(excess[query, column], kind="stable")
    query, column = query[order], column[order]
    above, who = excess[query, column], person[found.candidates[query, column]]

    def best(chosen: Mask) -> float:
        highest = np.zeros(len(excess), dtype=np.float32)
        highest[query[chosen]] = above[chosen]  # in rising order: the last, which is the highest, stays
        return float(highest.sum(dtype=np.float64))

    return dealt_p_value(lambda dealt: best(dealt[who]) - best(~dealt[who]), members, n_draws=n_draws, seed=seed)


def _match(parts: Parts, queries: Floats, gallery: Floats) -> Likeness:
    k = min(N_RETRIEVED, len(gallery))
    known = parts.vector(gallery).T
    small = resize(queries, SIDE)
    near = [np.argpartition(-_glance(parts, block, known), k - 1, axis=1)[:, :k] for block in _blocks(small)]
    candidates = np.concatenate(near)
    return Likeness(candidates=candidates, score=parts.correlation(queries, gallery, candidates))


def _glance(parts: Parts, small: Floats, known: Floats) -> Floats:
    """[q, G]: best correlation of all parts moved together, for the query and its mirror image."""
    best = np.zeros((len(small), known.shape[1]), dtype=np.float32)
    for image in (small, np.ascontiguousarray(small[:, :, ::-1])):
        for down in SHIFTS:
            for right in SHIFTS:
                moved = warped(image, Warp(n=len(image), shift_x=right / SIDE, shift_y=down / SIDE))
                np.maximum(best, np.abs(parts.vector(moved) @ known), out=best)
    return best


def _blocks(small: Floats) -> Iterator[Floats]:
    for start in range(0, len(small), QUERY_BLOCK):
        yield small[start : start + QUERY_BLOCK]
