"""Which real image could this one be a copy of, and how much speaks for it? Retrieve candidates, then look closely.

Five detectors, each blind to what another sees: the ratio of pixel distances (Carlini et al. 2023), plain normalised
correlation (Akbar et al. 2025), the contrastive embedding, registration, and parts. The gallery may hold people of
several arms: nothing here asks who was trained on, so that arms can be exchanged in a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.copies.pairs import standard
from audits.copies.parts import Parts
from audits.copies.registration import Registration
from audits.copies.warps import Warp, warped
from audits.embeddings.plain import Embedding
from audits.neighbours import squared_distances
from audits.pixels import Floats, resize

DETECTORS = ("distance ratio", "correlation", "contrastive", "registration", "parts")
N_RETRIEVED = (2, 4, 26)  # candidates that the first three bring; the last two look closely at all of them
N_NEIGHBOURS = 50  # of the ratio: the usual distance from this image to its nearest ones
SIDE = 32
VIEWS = tuple((angle, zoom) for angle in (-7.0, 0.0, 7.0) for zoom in (1 / 1.12, 1.0, 1.12, 1.25))
RESOLUTION = 1e-3
QUERY_BLOCK = 256

Rows = NDArray[np.intp]
Subjects = NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Real images [G, 32, 32], their subjects, and the embedding of each image's views [n_views, G, D]."""

    small: Floats
    subjects: Subjects
    views: Floats


@dataclass(frozen=True, kw_only=True)
class Matches:
    """candidates: gallery rows [Q, k], one row at times twice. evidence: [Q, k, 5] of DETECTORS, higher: nearer."""

    candidates: Rows
    evidence: Floats


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """What was learned on people of whom only the auditor knows."""

    embedding: Embedding
    registration: Registration
    parts: Parts

    def gallery(self, grey: Floats, subjects: Subjects) -> Gallery:
        """Real images made ready. grey: [G, H, W] in [0, 1]."""
        small = resize(grey, SIDE)
        views = (warped(small, Warp(n=len(small), angle=angle, zoom=zoom)) for angle, zoom in VIEWS)
        return Gallery(small=small, subjects=subjects, views=np.stack([self.embedding.extract(v) for v in views]))

    def match(self, grey: Floats, gallery: Gallery, *, subjects: Subjects | None = None) -> Matches:
        """Candidates and evidence of queries [Q, H, W]; images of a query's own subject are no candidates for it."""
        small = resize(grey, SIDE)
        parts = [self._near(small, gallery, subjects, rows) for rows in _blocks(len(small))]
        candidates, found = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        closely = [
            closeness(detector.correlation(small, gallery.small, candidates))[..., None]
            for detector in (self.registration, self.parts)
        ]
        evidence = np.concatenate([found, *closely], axis=2)
        evidence[~np.isfinite(found[:, :, 0])] = -np.inf  # the query's own subject, where the gallery is that small
        return Matches(candidates=candidates, evidence=evidence)

    def _near(self, small: Floats, gallery: Gallery, subjects: Subjects | None, rows: slice) -> tuple[Rows, Floats]:
        """Candidates [q, k] of a block, and their evidence [q, k, 3] for the first three detectors."""
        found = np.stack(
            [
                _distance_ratio(small[rows], gallery.small),
                closeness(_correlation(small[rows], gallery.small)),
                closeness(self._likeness(small[rows], gallery)),
            ],
            axis=2,
        )
        if subjects is not None:
            found[subjects[rows, None] == gallery.subjects[None]] = -np.inf
        candidates = np.concatenate([_top(found[:, :, i], n) for i, n in enumerate(N_RETRIEVED)], axis=1)
        return candidates, np.take_along_axis(found, candidates[..., None], axis=1)

    def _likeness(self, small: Floats, gallery: Gallery) -> Floats:
        """[q, G]: best cosine over the query's mirror images and negatives and the gallery's views."""
        shown = (small, small[:, :, ::-1], 1 - small, 1 - small[:, :, ::-1])
        embedded = [self.embedding.extract(np.ascontiguousarray(images)) for images in shown]
        best = np.full((len(small), len(gallery.small)), -1.0, dtype=np.float32)
        for view in gallery.views:
            for query in embedded:
                np.maximum(best, query @ view.T, out=best)
        return best


def closeness(correlation: Floats) -> Floats:
    """-log(1 - r): steps between .99 and .999 count as those between .9 and .99."""
    return np.asarray(-np.log(np.maximum(1 - correlation, 0) + RESOLUTION), dtype=np.float32)


def _distance_ratio(small: Floats, gallery: Floats) -> Floats:
    """Log of the usual squared distance to near images over that to each one; [q, G]."""
    square = squared_distances(small.reshape(len(small), -1), gallery.reshape(len(gallery), -1))
    n = min(N_NEIGHBOURS, len(gallery))
    usual = np.partition(square, n - 1, axis=1)[:, :n].mean(axis=1, keepdims=True)
    return np.asarray(np.log(usual + RESOLUTION) - np.log(square + RESOLUTION), dtype=np.float32)


def _correlation(small: Floats, gallery: Floats) -> Floats:
    """[q, G]: absolute normalised correlation, with the query or its mirror image."""
    fixed = _vectors(gallery).T
    straight, mirrored = (np.abs(_vectors(images) @ fixed) for images in (small, small[:, :, ::-1]))
    return np.asarray(np.maximum(straight, mirrored))


def _vectors(images: Floats) -> Floats:
    return standard(images.reshape(len(images), -1))


def _top(evidence: Floats, n: int) -> Rows:
    """The n columns of most evidence in each row, in no order."""
    n = min(n, evidence.shape[1])
    return np.asarray(np.argpartition(-evidence, n - 1, axis=1)[:, :n])


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, QUERY_BLOCK):
        yield slice(start, min(start + QUERY_BLOCK, n))
