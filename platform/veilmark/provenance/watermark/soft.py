"""Soft values: what each slot of an image says of its bit, under one guess of what the image went through.

A marked slot lies near +1/4 (bit 0) or -1/4 (bit 1) of a step beyond a multiple of the step, so the sine of its phase
speaks for the bit. A flat block, as clipping leaves it, lies at 0 and says nothing, which is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
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
    folded = _soft_tiles(images, pattern, gains, weights)
    flat = folded.reshape(len(folded), -1)
    return Hypotheses(folded=folded, score=(flat @ pattern.pilots.ravel()) / _norm(flat))


def displaced(image: NDArray[np.float32], pattern: Pattern, gains: NDArray[np.float32], n: int) -> Hypotheses:
    """A part [H, W] of a marked image: each of 64 offsets inside a block, each shift by blocks inside the tile.

    The best `n` are shifted back. The pilots tell a shift only up to their period: where the tile is longer, each
    shift of the tile that agrees is a hypothesis.
    """
    offsets = [(dy, dx) for dy in range(BLOCK) for dx in range(BLOCK) if min(image[dy:, dx:].shape) >= BLOCK]
    found = [s for dy, dx in offsets for s in _shifts(_soft_tiles(image[None, dy:, dx:], pattern, gains), pattern)]
    tile, period = pattern.profile.tile, pattern.profile.period
    n_alike = (tile // period) ** 2
    best = sorted(found, key=lambda shift: -shift.score)[: max(1, n // n_alike)]
    turned = [
        np.roll(shift.folded, (-shift.rows - down, -shift.columns - right), axis=(0, 1))
        for shift in best
        for down in range(0, tile, period)
        for right in range(0, tile, period)
    ]
    score = np.repeat(np.array([shift.score for shift in best], np.float32), n_alike)
    return Hypotheses(folded=np.stack(turned), score=score)


def correlate(folded: NDArray[np.float32], words: NDArray[np.float32], pattern: Pattern) -> NDArray[np.float32]:
    """The largest z of each code word's signs [M, 3 (96 + 8)] over hypotheses [K, ...], in the data slots: [M].

    z is the correlation of a code word's signs with the soft values, in units of the soft values' norm. A slot that
    repeats a bit repeats its sign, so their soft values are added up first.
    """
    norm = _norm(folded.reshape(len(folded), -1)[:, pattern.data_slots])
    unit = pattern.gather(folded) / norm[:, None]
    z: NDArray[np.float32] = (words @ unit.T).max(axis=1)
    return z


def _soft_tiles(
    images: NDArray[np.float32],
    pattern: Pattern,
    gains: NDArray[np.float32],
    weights: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """[N, H, W] to soft values folded into one tile, [N * G, tile, tile, n_slots]."""
    slots = plane.to_blocks(images) @ pattern.projection
    rows, columns, n_slots = slots.shape[1:]
    phase = slots[:, None] * (gains * np.float32(2 * np.pi / pattern.profile.step))[None, :, None, None, None]
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shift:
    """One tile [tile, tile, n_slots] that lies `rows`, `columns` of blocks further, as far as the pilots tell."""

    folded: NDArray[np.float32]
    rows: int
    columns: int
    score: float


def _shifts(folded: NDArray[np.float32], pattern: Pattern) -> list[_Shift]:
    """The few of tiles [K, ...] that agree best with the pilots after a circular shift by whole blocks."""
    period = pattern.profile.period
    agreement = _folded(folded, period).reshape(len(folded), -1) @ pattern.shifted_pilots
    score = agreement.max(axis=1) / _norm(folded.reshape(len(folded), -1))
    kept = np.argsort(-score, kind="stable")[:_SHIFTED_KEPT]
    starts = [divmod(int(agreement[k].argmax()), period) for k in kept]
    return [
        _Shift(folded=folded[k], rows=rows, columns=columns, score=float(score[k]))
        for k, (rows, columns) in zip(kept, starts, strict=True)
    ]


def _norm(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    """The length of each row [K, n], never 0."""
    norm: NDArray[np.float32] = np.sqrt(np.maximum(np.einsum("ij,ij->i", flat, flat), _TINY))
    return norm
