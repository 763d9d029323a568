"""What an image may have gone through, and the soft slot values that follow from each guess."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.watermark import plane
from veilmark.provenance.watermark.geometry import Softening, rotated, sharpened
from veilmark.provenance.watermark.pattern import BLOCK, STRENGTHS, Pattern

_SOFTENINGS = (
    *(Softening(blur=blur) for blur in (0.6, 0.8, 1.0, 1.3)),
    *(Softening(shrink=shrink) for shrink in (0.75, 0.5)),
)
_UNCHANGED = np.array([1 / strength for strength in STRENGTHS], np.float32)
_FILTER_GAINS = np.outer(_UNCHANGED, (1.0, 0.97, 1.03)).ravel().astype(np.float32)
_WIDE_GAINS = np.exp(np.arange(-400, 400) * 0.003).astype(np.float32)
_OFFSET_GAINS = np.exp(np.arange(-20, 17) * 0.025).astype(np.float32)  # cropping moves the percentiles
_MAX_DEGREES = 3.0
_MAX_SHIFT_AT_EDGE = 0.4  # pixels that a hypothesis may be off at the image's edge
_MAX_ROTATED_SIDE = 256  # the centre of a large image is enough, and keeps the search short
_CORRELATED_AT_ONCE = 4096
_KEPT_SHIFTS = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Hypotheses:
    """`folded` [K, tile, tile, n_slots]: soft values (positive speaks for bit 0) summed over the tiles of an image;
    `score` [K]: how well the pilots agree."""

    folded: NDArray[np.float32]
    score: NDArray[np.float32]

    def best(self, n: int) -> Hypotheses:
        """The `n` that the pilots like best, best first."""
        order = np.argsort(-self.score, kind="stable")[:n]
        return Hypotheses(folded=self.folded[order], score=self.score[order])


def aligned(images: NDArray[np.float32], pattern: Pattern) -> Hypotheses:
    """Nothing happened: the best strength of each image [N, H, W] (or of a single image [H, W])."""
    planes = images if images.ndim == 3 else images[None]
    tried = _scored(_soft_tiles(planes, pattern, _UNCHANGED), pattern)
    score = tried.score.reshape(len(planes), -1)
    best = np.arange(len(planes)) * score.shape[1] + score.argmax(axis=1)
    return Hypotheses(folded=tried.folded[best], score=tried.score[best])


def by_filter(image: NDArray[np.float32], pattern: Pattern) -> Hypotheses:
    """Softened, and slightly brighter or darker."""
    return _joined(
        _scored(_soft_tiles(sharpened(image, softening)[None], pattern, _FILTER_GAINS), pattern)
        for softening in _SOFTENINGS
    )


def by_gain(image: NDArray[np.float32], pattern: Pattern) -> Hypotheses:
    """Contrast changed, by windowing or because the percentiles moved."""
    return _scored(_soft_tiles(image[None], pattern, _WIDE_GAINS), pattern)


def by_orientation(image: NDArray[np.float32], pattern: Pattern) -> Hypotheses:
    """Mirrored or turned by quarter turns."""
    turned = [np.rot90(view, n) for view in (image, image[:, ::-1]) for n in range(4)]
    return _joined(aligned(view, pattern) for view in turned[1:])


def by_offset(image: NDArray[np.float32], pattern: Pattern) -> Hypotheses:
    """Cropped: any of the 64 offsets inside a block, any offset of blocks inside the tile, a moved range."""
    offsets = [(dy, dx) for dy in range(BLOCK) for dx in range(BLOCK) if min(image[dy:, dx:].shape) >= BLOCK]
    return _shifted(
        np.concatenate([_soft_tiles(image[None, dy:, dx:], pattern, _OFFSET_GAINS) for dy, dx in offsets]), pattern
    )


def by_rotation(image: NDArray[np.float32], pattern: Pattern) -> Hypotheses:
    """Rotated by up to three degrees about the centre."""
    centre = _centre(image, pattern)
    step = min(0.5, float(np.degrees(_MAX_SHIFT_AT_EDGE / (max(centre.shape) / 2))))
    angles = np.arange(-_MAX_DEGREES, _MAX_DEGREES + step / 2, step)
    return _joined(aligned(rotated(centre, float(angle)), pattern) for angle in angles)


def correlate(folded: NDArray[np.float32], messages: NDArray[np.uint8], pattern: Pattern) -> NDArray[np.float32]:
    """The largest z of each message [M, 96] over hypotheses [K, ...], in its data slots: [M].

    z is the correlation of a code word's signs with the soft values, in units of the soft values' norm.
    """
    soft = folded.reshape(len(folded), -1)[:, pattern.data_slots]
    unit = soft / np.maximum(np.linalg.norm(soft, axis=1, keepdims=True), np.float32(1e-9))
    best = [
        (pattern.slot_signs(part).reshape(len(part), -1)[:, pattern.data_slots] @ unit.T).max(axis=1)
        for part in np.split(messages, range(_CORRELATED_AT_ONCE, len(messages), _CORRELATED_AT_ONCE))
    ]
    return np.concatenate(best)


def _soft_tiles(images: NDArray[np.float32], pattern: Pattern, gains: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N, H, W] to soft values folded into one tile, [N * n_gains, tile, tile, n_slots]."""
    slots = plane.to_blocks(images) @ pattern.projection
    n, rows, columns, n_slots = slots.shape
    phase = slots[:, None] * (gains / pattern.profile.step)[None, :, None, None, None] - pattern.dither
    tile = pattern.profile.tile
    height, width = -(-rows // tile), -(-columns // tile)
    padded = np.zeros((n * gains.size, height * tile, width * tile, n_slots), np.float32)
    padded[:, :rows, :columns] = np.cos(np.float32(2 * np.pi) * phase).reshape(-1, rows, columns, n_slots)
    folded: NDArray[np.float32] = padded.reshape(-1, height, tile, width, tile, n_slots).sum(axis=(1, 3))
    return folded


def _scored(folded: NDArray[np.float32], pattern: Pattern) -> Hypotheses:
    return Hypotheses(folded=folded, score=np.tensordot(folded, pattern.pilots, axes=3))


def _shifted(folded: NDArray[np.float32], pattern: Pattern) -> Hypotheses:
    """The tiles that agree best with the pilots after a circular shift by whole blocks, shifted so; at most 64."""
    spectrum = np.fft.rfft2(folded, axes=(1, 2)) * np.conj(np.fft.rfft2(pattern.pilots, axes=(0, 1)))
    tile = pattern.profile.tile
    score = np.fft.irfft2(spectrum.sum(axis=3), s=(tile, tile), axes=(1, 2)).reshape(len(folded), -1)
    kept = np.argsort(-score.max(axis=1), kind="stable")[:_KEPT_SHIFTS]
    at = score[kept].argmax(axis=1)
    turned = [np.roll(folded[k], (-(s // tile), -(s % tile)), axis=(0, 1)) for k, s in zip(kept, at, strict=True)]
    return Hypotheses(folded=np.stack(turned), score=score[kept].max(axis=1).astype(np.float32))


def _joined(parts: Iterable[Hypotheses]) -> Hypotheses:
    parts = list(parts)
    return Hypotheses(
        folded=np.concatenate([part.folded for part in parts]), score=np.concatenate([part.score for part in parts])
    )


def _centre(image: NDArray[np.float32], pattern: Pattern) -> NDArray[np.float32]:
    """The middle of a large image, cut at whole tiles so that blocks stay aligned.

    Rotation about the image's centre stays rotation about the part's centre, up to a shift of half a tile's remainder;
    images up to 256 px, which are the rule here, are not cut at all.
    """
    if max(image.shape) <= _MAX_ROTATED_SIDE:
        return image
    side = pattern.profile.tile * BLOCK
    cuts = []
    for length in image.shape:
        spare = max(0, length - _MAX_ROTATED_SIDE) // 2 // side * side
        cuts.append(slice(spare, length - spare))
    return image[tuple(cuts)]
