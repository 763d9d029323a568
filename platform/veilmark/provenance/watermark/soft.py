"""Soft values: what each slot of an image says of its bit, under one guess of what the image went through.

A marked slot lies near +1/4 (bit 0) or -1/4 (bit 1) of a step beyond a multiple of the step, so the sine of its phase
speaks for the bit. A flat block, as clipping leaves it, lies at 0 and says nothing, which is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from veilmark.provenance.watermark import plane
from veilmark.provenance.watermark.pattern import BLOCK, Pattern

_SHIFTED_KEPT = 2  # of one offset inside a block
_TINY = np.float32(1e-9)


@dataclass(frozen=True, kw_only=True, eq=False)
class Hypotheses:
    """`folded` [K, tile, tile, n_slots]: soft values (positive speaks for bit 0) summed over the tiles of an image;
    `score` [K]: the pilots' correlation with them, in units of their norm."""

    folded: NDArray[np.float32]
    score: NDArray[np.float32]

    def best(self, n: int) -> Hypotheses:
        """The `n` that the pilots like best, best first."""
        order = np.argsort(-self.score, kind="stable")[:n]
        return Hypotheses(folded=self.folded[order], score=self.score[order])


def joined(parts: Iterable[Hypotheses], pattern: Pattern) -> Hypotheses:
    """All hypotheses of `parts`, of which there may be none."""
    parts = list(parts)
    none = np.zeros((0, *pattern.pilots.shape), np.float32)
    return Hypotheses(
        folded=np.concatenate([none, *(part.folded for part in parts)]),
        score=np.concatenate([np.zeros(0, np.float32), *(part.score for part in parts)]),
    )


def in_place(
    images: NDArray[np.float32],
    pattern: Pattern,
    gains: NDArray[np.float32],
    weights: NDArray[np.float32] | None = None,
) -> Hypotheses:
    """Images [N, H, W] under gains [G], blocks where they were: [N * G]. `weights` [H // 8, W // 8] are of blocks."""
    folded = _soft_tiles(plane.to_blocks(images) @ pattern.projection, pattern, gains, weights)
    flat = folded.reshape(len(folded), -1)
    return Hypotheses(folded=folded, score=(flat @ pattern.pilots.ravel()) / _norm(flat))


def displaced(image: NDArray[np.float32], pattern: Pattern, gains: NDArray[np.float32], n: int) -> Hypotheses:
    """A part [H, W] of a marked image: each of 64 offsets inside a block, each shift by blocks inside the tile.

    The best `n` are shifted back. The pilots tell a shift only up to their period: where the tile is longer, each
    shift of the tile that agrees is a hypothesis.
    """
    tile, period = pattern.profile.tile, pattern.profile.period
    parts = [_shifts(slots, pattern, gains) for slots in _at_every_offset(image, pattern)]
    folded, starts, score = (np.concatenate(of_parts) for of_parts in zip(*parts, strict=True))
    alike = np.mgrid[0:tile:period, 0:tile:period].reshape(2, -1).T
    best = np.argsort(-score, kind="stable")[: max(1, n // len(alike))]
    rows, columns = ((starts[best, None] + alike).reshape(-1, 2, 1) + np.arange(tile)).transpose(1, 0, 2) % tile
    which = np.repeat(best, len(alike))
    return Hypotheses(folded=folded[which[:, None, None], rows[:, :, None], columns[:, None]], score=score[which])


def correlate(folded: NDArray[np.float32], words: NDArray[np.float32], pattern: Pattern) -> NDArray[np.float32]:
    """The largest z of each code word's signs [M, 3 (n_bits + 8)] over hypotheses [K, ...], in the data slots: [M].

    z is the correlation of a code word's signs with the soft values, in units of the soft values' norm. A slot that
    repeats a bit repeats its sign, so their soft values are added up first.
    """
    norm = _norm(folded.reshape(len(folded), -1)[:, pattern.data_slots])
    unit = pattern.gather(folded, words.shape[1]) / norm[:, None]
    z: NDArray[np.float32] = (words @ unit.T).max(axis=1)
    return z


def _soft_tiles(
    slots: NDArray[np.float32],
    pattern: Pattern,
    gains: NDArray[np.float32],
    weights: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Slots [N, R, C, n_slots] to soft values folded into one tile, [N * G, tile, tile, n_slots]."""
    rows, columns, n_slots = slots.shape[1:]
    phase = slots.reshape(len(slots), 1, -1) * (gains * np.float32(2 * np.pi / pattern.profile.step))[:, None]
    soft = np.sin(phase, out=phase).reshape(-1, rows, columns, n_slots)
    if weights is not None:
        soft *= weights[..., None]
    return _folded(soft, pattern.profile.tile)


def _folded(soft: NDArray[np.float32], period: int) -> NDArray[np.float32]:
    """[K, R, C, S] summed over its periods, [K, period, period, S]."""
    n, rows, columns, n_slots = soft.shape
    if rows == columns == period:
        return soft
    folded = np.zeros((n, period, period, n_slots), np.float32)
    for y in range(0, rows, period):
        for x in range(0, columns, period):
            part = soft[:, y : y + period, x : x + period]
            folded[:, : part.shape[1], : part.shape[2]] += part
    return folded


def _at_every_offset(image: NDArray[np.float32], pattern: Pattern) -> Iterator[NDArray[np.float32]]:
    """The slots [8, H // 8, W // 8, n_slots] of the blocks that begin 0 to 7 columns further, for each of 8 rows.

    Where a further offset leaves no whole block, its slots are 0 and say nothing.
    """
    rows, columns = (length // BLOCK for length in image.shape)
    for down in range(min(BLOCK, len(image) - BLOCK + 1)):
        strips = sliding_window_view(image[down:], (BLOCK, BLOCK))[::BLOCK]
        slots = np.zeros((rows, columns * BLOCK, pattern.profile.n_slots), np.float32)
        found = strips.reshape(-1, BLOCK * BLOCK) @ pattern.projection
        slots[: strips.shape[0], : strips.shape[1]] = found.reshape(*strips.shape[:2], -1)
        yield slots.reshape(rows, columns, BLOCK, -1).transpose(2, 0, 1, 3)


def _shifts(
    slots: NDArray[np.float32], pattern: Pattern, gains: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float32]]:
    """The few gains of each offset [N, R, C, n_slots] that agree best with the pilots after a circular shift by whole
    blocks: tiles [K, tile, tile, n_slots], by how many rows and columns of blocks they lie further [K, 2], scores [K].
    """
    period = pattern.profile.period
    folded = _soft_tiles(slots, pattern, gains)
    agreement = _folded(folded, period).reshape(len(folded), -1) @ pattern.shifted_pilots
    score = agreement.max(axis=1) / _norm(folded.reshape(len(folded), -1))
    ranked = np.argsort(-score.reshape(len(slots), -1), axis=1, kind="stable")[:, :_SHIFTED_KEPT]
    kept = (ranked + np.arange(0, len(folded), len(gains))[:, None]).ravel()
    starts = np.stack(divmod(agreement[kept].argmax(axis=1), period), axis=1)
    return folded[kept], starts, score[kept]


def _norm(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    """The length of each row [K, n], never 0."""
    norm: NDArray[np.float32] = np.sqrt(np.maximum(np.einsum("ij,ij->i", flat, flat), _TINY))
    return norm
