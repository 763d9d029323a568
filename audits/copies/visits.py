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
from audits.pixels import Floats, Greys, small
from audits.stats import Doubles, dealt_p_value, rows_by_subject

N_RETRIEVED = 256
SHIFTS = (-2, 0, 2)  # pixels of 32, both ways, under which candidates are looked for
QUERY_BLOCK = 256
QUERIES_AT_ONCE, GALLERY_BLOCK = 2048, 4096
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


@dataclass(frozen=True, kw_only=True)
class VisitMatcher:
    """parts: what is compared. ordinary: a likeness that the best stranger of one person in twenty exceeds."""

    parts: Parts
    ordinary: float

    def match(self, queries: Greys, gallery: Greys) -> Likeness:
        """Of each query [Q, H, W] the 256 images of the gallery that are most alike at a glance, looked at closely.

        Beside the images memory holds some hundred megabytes of blocks, and 3 kB a query.
        """
        return _match(self.parts, queries, gallery)


def learn_visits(grey: Greys, subjects: Subjects) -> VisitMatcher:
    """Learn from images [N, H, W] in [0, 1] of people of whom no generator and no test knows."""
    parts = learn_parts(small(grey, SIDE))
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


def _match(parts: Parts, queries: Greys, gallery: Greys) -> Likeness:
    spans = [
        slice(start, min(start + QUERIES_AT_ONCE, len(queries))) for start in range(0, len(queries), QUERIES_AT_ONCE)
    ]
    found = [_matched(parts, small(queries[rows], SIDE), gallery) for rows in spans]
    return Likeness(
        candidates=np.concatenate([part.candidates for part in found]),
        score=np.concatenate([part.score for part in found]),
    )


def _matched(parts: Parts, asked: Floats, gallery: Greys) -> Likeness:
    """Of some queries [q, 32, 32]."""
    near, rows = np.zeros((len(asked), 0), dtype=np.float32), np.zeros((len(asked), 0), dtype=np.intp)
    for start in range(0, len(gallery), GALLERY_BLOCK):
        known = parts.vector(gallery[start : start + GALLERY_BLOCK]).T
        here = np.concatenate([_glance(parts, block, known) for block in _blocks(asked)])
        near = np.concatenate([near, here], axis=1)
        rows = np.concatenate([rows, np.broadcast_to(start + np.arange(here.shape[1]), here.shape)], axis=1)
        k = min(N_RETRIEVED, near.shape[1])
        kept = np.argpartition(-near, k - 1, axis=1)[:, :k]
        near, rows = np.take_along_axis(near, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
    return Likeness(candidates=rows, score=parts.correlation(asked, gallery, rows))


def _glance(parts: Parts, asked: Floats, known: Floats) -> Floats:
    """[q, G]: best correlation of all parts moved together, for the query and its mirror image."""
    best = np.zeros((len(asked), known.shape[1]), dtype=np.float32)
    for image in (asked, np.ascontiguousarray(asked[:, :, ::-1])):
        for down in SHIFTS:
            for right in SHIFTS:
                moved = warped(image, Warp(n=len(image), shift_x=right / SIDE, shift_y=down / SIDE))
                np.maximum(best, np.abs(parts.vector(moved) @ known), out=best)
    return best


def _blocks(asked: Floats) -> Iterator[Floats]:
    for start in range(0, len(asked), QUERY_BLOCK):
        yield asked[start : start + QUERY_BLOCK]
