"""Which real image could this one be a copy of, and how much speaks for it? Retrieve candidates, then look closely.

Six detectors, each blind to what another sees: the ratio of pixel distances (Carlini et al. 2023), plain normalised
correlation (Akbar et al. 2025), the contrastive embedding, registration, parts, and elastic registration. The gallery
may hold people of several arms: nothing here asks who was trained on, so that arms can be exchanged in a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audits.copies.elastic import bent_correlation
from audits.copies.pairs import standard
from audits.copies.parts import Parts
from audits.copies.registration import Registration
from audits.copies.warps import Warp, warped
from audits.embeddings.plain import Embedding
from audits.neighbours import squared_distances
from audits.pixels import Floats, Greys, small

DETECTORS = ("distance ratio", "correlation", "contrastive", "registration", "parts", "elastic")
# Candidates that the first three bring. The next two look closely at all of them, the last at the likeliest.
N_RETRIEVED = (2, 4, 26)
N_NEIGHBOURS = 50  # of the ratio: the usual distance from this image to its nearest ones
SIDE = 32
VIEWS = tuple((angle, zoom) for angle in (-7.0, 0.0, 7.0) for zoom in (1 / 1.12, 1.0, 1.12, 1.25))
RESOLUTION = 1e-3
QUERY_BLOCK = 256
QUERIES_AT_ONCE = 8192
GALLERY_BLOCK = 4096
MOST_PREPARED = 16  # blocks

Rows = NDArray[np.intp]
Subjects = NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Some real images: small [n, 32, 32], and the embedding of each one's views [n_views, n, D]."""

    small: Floats
    views: Floats


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Real images [G, H, W] and their subjects. prepared: those of the first blocks of 4,096, to be made once alone."""

    grey: Greys
    subjects: Subjects
    embed: Callable[[Floats], Floats]
    prepared: list[Shown]

    def parts(self) -> Iterator[tuple[slice, Shown]]:
        """Block by block: the rows, and the images ready to be compared."""
        for i, start in enumerate(range(0, len(self.grey), GALLERY_BLOCK)):
            rows = slice(start, min(start + GALLERY_BLOCK, len(self.grey)))
            yield rows, self.prepared[i] if i < len(self.prepared) else self._shown(rows)

    def with_prepared(self) -> Gallery:
        """The same; sixteen blocks are made beforehand, 10 kB an image, and the others anew at each comparison."""
        starts = range(0, len(self.grey), GALLERY_BLOCK)[:MOST_PREPARED]
        return replace(self, prepared=[self._shown(slice(start, start + GALLERY_BLOCK)) for start in starts])

    def _shown(self, rows: slice) -> Shown:
        images = small(self.grey[rows], SIDE)
        views = (warped(images, Warp(n=len(images), angle=angle, zoom=zoom)) for angle, zoom in VIEWS)
        return Shown(small=images, views=np.stack([self.embed(view) for view in views]))


@dataclass(frozen=True, kw_only=True)
class Matches:
    """candidates: gallery rows [Q, k], one row at times twice. evidence: [Q, k, 6] of DETECTORS, higher: nearer."""

    candidates: Rows
    evidence: Floats


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """What was learned on people of whom only the auditor knows."""

    embedding: Embedding
    registration: Registration
    parts: Parts

    def gallery(self, grey: Greys, subjects: Subjects) -> Gallery:
        """Real images made ready. grey: [G, H, W] in [0, 1]."""
        return Gallery(grey=grey, subjects=subjects, embed=self.embedding.extract, prepared=[]).with_prepared()

    def match(self, grey: Greys, gallery: Gallery, *, subjects: Subjects | None = None) -> Matches:
        """Candidates and evidence of queries [Q, H, W]; images of a query's own subject are no candidates for it.

        Beside the images memory holds a gigabyte of blocks, and a kilobyte a query.
        """
        spans = [
            slice(start, min(start + QUERIES_AT_ONCE, len(grey))) for start in range(0, len(grey), QUERIES_AT_ONCE)
        ]
        parts = [
            self._matched(small(grey[rows], SIDE), gallery, None if subjects is None else subjects[rows])
            for rows in spans
        ]
        return Matches(
            candidates=np.concatenate([part.candidates for part in parts]),
            evidence=np.concatenate([part.evidence for part in parts]),
        )

    def _matched(self, asked: Floats, gallery: Gallery, subjects: Subjects | None) -> Matches:
        """Of some queries [q, 32, 32]."""
        candidates, found = self._near(asked, gallery, subjects)
        own = ~np.isfinite(found[:, :, 0])  # the query's own subject, where the gallery is that small
        closely = [each.correlation(asked, gallery.grey, candidates) for each in (self.registration, self.parts)]
        likely = np.where(own, -np.inf, closely[-1])
        closely.append(bent_correlation(self.parts, asked, gallery.grey, candidates, likely))
        evidence = np.concatenate([found, closeness(np.stack(closely, axis=2))], axis=2)
        evidence[own] = -np.inf
        return Matches(candidates=candidates, evidence=evidence)

    def _near(self, asked: Floats, gallery: Gallery, subjects: Subjects | None) -> tuple[Rows, Floats]:
        """Candidates [q, k], and their evidence [q, k, 3] for the first three detectors."""
        mirrored = asked[:, :, ::-1]
        embedded = [self.embedding.extract(np.ascontiguousarray(a)) for a in (asked, mirrored, 1 - asked, 1 - mirrored)]
        nearby = [_Nearby.none(min(QUERY_BLOCK, len(asked) - start)) for start in range(0, len(asked), QUERY_BLOCK)]
        for columns, shown in gallery.parts():
            for rows, held in zip(_blocks(len(asked)), nearby, strict=True):
                square = _square(asked[rows], shown.small)
                likeness = _likeness([query[rows] for query in embedded], shown.views)
                found = [-square, closeness(_correlation(asked[rows], shown.small)), closeness(likeness)]
                own = None if subjects is None else subjects[rows, None] == gallery.subjects[None, columns]
                held.add(np.stack(found, axis=2), columns.start, own)
        parts = [held.evidence() for held in nearby]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([found for _, found in parts])


@dataclass(kw_only=True)
class _Nearby:
    """The best candidates so far of some queries: rows and evidence for each detector, and the smallest distances."""

    rows: list[Rows]
    found: list[Floats]
    smallest: Floats

    @classmethod
    def none(cls, n: int) -> _Nearby:
        return cls(
            rows=[np.zeros((n, 0), dtype=np.intp) for _ in N_RETRIEVED],
            found=[np.zeros((n, 0, len(N_RETRIEVED)), dtype=np.float32) for _ in N_RETRIEVED],
            smallest=np.zeros((n, 0), dtype=np.float32),
        )

    def add(self, found: Floats, start: int, own: NDArray[np.bool_] | None) -> None:
        """found: [q, n, 3], of gallery rows from `start`; own: [q, n], which are no candidates."""
        smallest = np.concatenate([self.smallest, -found[:, :, 0]], axis=1)
        n = min(N_NEIGHBOURS, smallest.shape[1])
        self.smallest = np.partition(smallest, n - 1, axis=1)[:, :n]
        if own is not None:
            found[own] = -np.inf
        for i, n in enumerate(N_RETRIEVED):
            here = _top(found[:, :, i], n)
            rows = np.concatenate([self.rows[i], here + start], axis=1)
            known = np.concatenate([self.found[i], np.take_along_axis(found, here[..., None], axis=1)], axis=1)
            kept = _top(known[:, :, i], n)
            self.rows[i] = np.take_along_axis(rows, kept, axis=1)
            self.found[i] = np.take_along_axis(known, kept[..., None], axis=1)

    def evidence(self) -> tuple[Rows, Floats]:
        """All candidates [q, k], and their evidence [q, k, 3]: of the distance, log of the usual one over it."""
        rows, found = np.concatenate(self.rows, axis=1), np.concatenate(self.found, axis=1)
        usual = self.smallest.mean(axis=1, keepdims=True)
        found[:, :, 0] = np.log(usual + RESOLUTION) - np.log(RESOLUTION - found[:, :, 0])
        return rows, found


def closeness(correlation: Floats) -> Floats:
    """-log(1 - r): steps between .99 and .999 count as those between .9 and .99."""
    return np.asarray(-np.log(np.maximum(1 - correlation, 0) + RESOLUTION), dtype=np.float32)


def _square(asked: Floats, shown: Floats) -> Floats:
    """[q, n]: squared distances of pixels."""
    return squared_distances(asked.reshape(len(asked), -1), shown.reshape(len(shown), -1))


def _likeness(embedded: Sequence[Floats], views: Floats) -> Floats:
    """[q, n]: best cosine over the query's mirror images and negatives, embedded, and the gallery's views."""
    best = np.full((len(embedded[0]), views.shape[1]), -1.0, dtype=np.float32)
    for view in views:
        for query in embedded:
            np.maximum(best, query @ view.T, out=best)
    return best


def _correlation(asked: Floats, shown: Floats) -> Floats:
    """[q, n]: absolute normalised correlation, with the query or its mirror image."""
    fixed = _vectors(shown).T
    straight, mirrored = (np.abs(_vectors(images) @ fixed) for images in (asked, asked[:, :, ::-1]))
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
