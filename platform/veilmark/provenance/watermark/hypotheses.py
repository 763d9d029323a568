"""What an image may have gone through, and the soft values that follow from each guess."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.watermark import plane
from veilmark.provenance.watermark.geometry import Softening, resized, rotated, sharpened
from veilmark.provenance.watermark.pattern import BLOCK, STRENGTHS, Pattern, profile_for
from veilmark.provenance.watermark.soft import Hypotheses, displaced, in_place, joined

_SOFTENINGS = (
    *(Softening(blur=blur) for blur in (0.6, 0.8, 1.0, 1.3)),
    *(Softening(shrink=shrink) for shrink in (0.75, 0.5)),
)
_SIDES = (64, 96, 128, 192, 224, 256, 320, 384, 512)  # shorter sides that images usually have
_MOST_RESIZED = 2.1
_MAX_DEGREES = 3.0
_MAX_SHIFT_AT_EDGE = 0.4  # pixels that a hypothesis may be off at the image's edge
_MAX_ROTATED_SIDE = 256  # a multiple of every tile; the middle of a large image is enough, and keeps the search short
_SATURATED = 2.0  # of 255: so near the darkest or brightest value, a pixel was clipped
_DEPTHS = (10.0, 25.0)  # of 255: how far below the window air may have lain
_RICH_DETAIL = 20.0  # mean second differences of a block that halve its weight
_KEPT = 32  # of each view; no stage decodes more


def _gains(lowest: float, highest: float, ratio: float) -> NDArray[np.float32]:
    """Factors from about `lowest` to `highest`, each `ratio` times the one before, 1 among them."""
    first, last = np.rint(np.log((lowest, highest)) / np.log(ratio))
    gains: NDArray[np.float32] = (ratio ** np.arange(first, last + 1)).astype(np.float32)
    return gains


# A strength acts like a gain, so every range reaches down to the greatest strength, 0.4.
_UNCHANGED = np.array([1 / strength for strength in STRENGTHS], np.float32)
_WINDOWED = _gains(0.22, 1.8, 1.006)
_CROPPED = _gains(0.3, 1.5, 1.03)  # cropping moves the percentiles
_TURNED = _gains(0.33, 1.2, 1.02)
_TURNED_AND_CROPPED = _gains(0.35, 1.15, 1.1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Searched:
    """The stretched image [H, W] of a search."""

    image: NDArray[np.float32]

    @cached_property
    def turned(self) -> list[NDArray[np.float32]]:
        """The image, or the middle of a large one, turned back by up to three degrees."""
        rows, columns = (_middle(length) for length in self.image.shape)
        step = min(0.5, float(np.degrees(_MAX_SHIFT_AT_EDGE / (max(len(rows), len(columns)) / 2))))
        angles = np.arange(-_MAX_DEGREES, _MAX_DEGREES + step / 2, step)
        return [self._turned(float(angle), rows, columns) for angle in angles]

    def _turned(self, angle: float, rows: range, columns: range) -> NDArray[np.float32]:
        """A tile repeats, so rolling a cut part puts its blocks back where they lie in a tile."""
        part = rotated(self.image, angle, rows=rows, columns=columns)
        return np.roll(part, (rows.start % _MAX_ROTATED_SIDE, columns.start % _MAX_ROTATED_SIDE), axis=(0, 1))


def aligned(images: NDArray[np.float32], pattern: Pattern) -> Hypotheses:
    """Nothing happened: the best strength of each image [N, H, W]."""
    tried = in_place(images, pattern, _UNCHANGED)
    score = tried.score.reshape(len(images), -1)
    best = np.arange(len(images)) * score.shape[1] + score.argmax(axis=1)
    return Hypotheses(folded=tried.folded[best], score=tried.score[best])


def unchanged(searched: Searched, pattern: Pattern) -> Hypotheses:
    """Nothing happened."""
    return aligned(searched.image[None], pattern)


def by_gain(searched: Searched, pattern: Pattern) -> Hypotheses:
    """Contrast changed, by windowing or because the percentiles moved; softened or clipped besides."""
    image, clipped = searched.image, _Clipped(searched.image)
    views = [
        (image, None),
        *((view, _calm(view)) for view in (sharpened(image, softening) for softening in _SOFTENINGS)),
        (image, clipped.weights(3)),
        *((clipped.deepened(depth), clipped.weights(1.5)) for depth in _DEPTHS),
    ]
    return joined((in_place(view[None], pattern, _WINDOWED, weights).best(_KEPT) for view, weights in views), pattern)


def by_orientation(searched: Searched, pattern: Pattern) -> Hypotheses:
    """Mirrored or turned by quarter turns."""
    views = [np.rot90(view, n) for view in (searched.image, searched.image[:, ::-1]) for n in range(4)]
    return joined((aligned(view[None], pattern) for view in views[1:]), pattern)


def by_offset(searched: Searched, pattern: Pattern) -> Hypotheses:
    """Cropped."""
    return displaced(searched.image, pattern, _CROPPED, _KEPT)


def by_rotation(searched: Searched, pattern: Pattern) -> Hypotheses:
    """Rotated about the centre."""
    return joined((in_place(view[None], pattern, _TURNED).best(_KEPT) for view in searched.turned), pattern)


def by_scale(searched: Searched, pattern: Pattern) -> Hypotheses:
    """Resized from another usual size, and not resized back."""
    height, width = searched.image.shape
    scales = [side / min(height, width) for side in _SIDES]
    shapes = [(round(height * scale), round(width * scale)) for scale in scales if _is_usual(scale)]
    views = [resized(searched.image, *shape) for shape in shapes if profile_for(*shape) == pattern.profile]
    return joined((in_place(view[None], pattern, _TURNED).best(_KEPT) for view in views), pattern)


def by_rotation_and_offset(searched: Searched, pattern: Pattern) -> Hypotheses:
    """Rotated and cropped. The largest tile repeats every bit, so it bears coarser steps, and needs them most."""
    views = searched.turned[:: max(1, pattern.profile.tile // 10)]
    return joined((displaced(view, pattern, _TURNED_AND_CROPPED, _KEPT) for view in views), pattern)


def _is_usual(scale: float) -> bool:
    return scale != 1 and 1 / _MOST_RESIZED <= scale <= _MOST_RESIZED


class _Clipped:
    """Where a window clipped an image [H, W]."""

    def __init__(self, image: NDArray[np.float32]) -> None:
        self._image = image
        self._dark = image <= image.min() + _SATURATED
        self._bright = image >= image.max() - _SATURATED
        self._share = plane.to_blocks((self._dark | self._bright)[None].astype(np.float32)).mean(axis=-1)[0]

    def weights(self, fall: float) -> NDArray[np.float32]:
        """Of each block, [H // 8, W // 8]: 1 where no pixel was clipped, 0 where the share of 1 / `fall` was."""
        weights: NDArray[np.float32] = np.maximum(1 - fall * self._share, 0).astype(np.float32)
        return weights

    def deepened(self, depth: float) -> NDArray[np.float32]:
        """With a guess of what was there: dark pixels `depth` darker (air lies far below a window), bright ones a
        fifth of that brighter. It brings back what of a block at the edge of the body is left."""
        guessed: NDArray[np.float32] = self._image + np.float32(depth) * (self._bright / np.float32(5) - self._dark)
        return guessed.astype(np.float32)


def _calm(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weight of each block, [H // 8, W // 8]: sharpening raises noise and aliasing most where detail is rich."""
    blocks = plane.to_blocks(image[None])[0]
    apart = blocks.reshape(*blocks.shape[:2], BLOCK, BLOCK)
    detail = sum(np.abs(np.diff(apart, 2, axis=axis)).mean(axis=(2, 3)) for axis in (2, 3))
    weights: NDArray[np.float32] = (1 / (1 + np.square(detail / _RICH_DETAIL))).astype(np.float32)
    return weights


def _middle(length: int) -> range:
    start = max(0, length - _MAX_ROTATED_SIDE) // 2 // BLOCK * BLOCK
    return range(start, min(length, start + _MAX_ROTATED_SIDE))
