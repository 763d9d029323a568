"""Do the marks of a set survive? A built-in attack suite on a random sample, before the set may be released.

The rule: after each of `MUST_SURVIVE`, the exact 95 % interval (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934)
of the share of images whose own id is found must lie above its least share, and no image may yield another image's id.
Where all images are tried, nothing is sampled, and the share itself is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.errors import MarkError
from veilmark.provenance.watermark.attacks import ATTACKS, shown
from veilmark.provenance.watermark.detect import detect_mark
from veilmark.provenance.watermark.mark_id import PUBLIC_DETECTION_KEY, MarkId

SAMPLE = 100
CONFIDENCE = 0.95
MUST_SURVIVE = {
    "none": 0.95,
    "JPEG 75": 0.9,
    "JPEG 50": 0.9,
    "noise 2": 0.9,
    "resize 0.75 and back": 0.9,
    "crop 10 %": 0.9,
    "brightness -10 %": 0.9,
    "flip": 0.9,
}


class Images(Protocol):
    """Images by their row, [H, W] or [H, W, 3] each: an array of them, or what reads a file when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> NDArray[np.generic]: ...


@dataclass(frozen=True, kw_only=True)
class AttackSurvival:
    """Of `n` attacked images, `found` yield their own id and `wrong` another one; `low`, `high`: the exact interval of
    the share found. `least` is the share that the rule asks for."""

    attack: str
    n: int
    found: int
    wrong: int
    low: float
    high: float
    least: float
    passes: bool


@dataclass(frozen=True, kw_only=True)
class MarkSurvival:
    """`n_tried` of `n_images` were tried, drawn with `seed`."""

    n_images: int
    n_tried: int
    seed: int
    attacks: tuple[AttackSurvival, ...]

    @property
    def passes(self) -> bool:
        """Whether the set may be released as marked."""
        return all(row.passes for row in self.attacks)


def mark_survival(
    images: Images,
    ids: Sequence[MarkId],
    *,
    key: bytes = PUBLIC_DETECTION_KEY,
    n: int = SAMPLE,
    seed: int,
) -> MarkSurvival:
    """Attack a random `n` of marked images, or all when fewer, and look for their ids among all `ids`.

    Only the images that are tried are read, each once, and kept in memory meanwhile. 16-bit images are attacked as a
    viewer shows them. Raises MarkError for no images, `n` under `SAMPLE`, and arrays that the watermark does not take.
    """
    if not len(images) or len(images) != len(ids):
        raise MarkError(
            f"{len(images)} images and {len(ids)} ids", where="mark survival", remedy="give one id an image"
        )
    if n < SAMPLE:
        raise MarkError(f"a sample of {n}", where="mark survival", remedy=f"try at least {SAMPLE} images")
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(images))[:n]).tolist()
    sample = [(ids[row], shown(images[row])) for row in rows]
    attacks = tuple(_tried(name, sample, ids, key, rng) for name in MUST_SURVIVE)
    return MarkSurvival(n_images=len(images), n_tried=len(rows), seed=seed, attacks=attacks)


def _tried(
    name: str,
    sample: Sequence[tuple[MarkId, NDArray[np.uint8]]],
    ids: Sequence[MarkId],
    key: bytes,
    rng: np.random.Generator,
) -> AttackSurvival:
    found = wrong = 0
    for own, image in sample:
        got = detect_mark(np.ascontiguousarray(ATTACKS[name](image, rng)), key=key, known_ids=ids).id
        found += got == own
        wrong += got not in {own, None}
    low, high = exact_interval(found, len(sample))
    share, least = found / len(sample) if len(sample) == len(ids) else low, MUST_SURVIVE[name]
    passes = not wrong and share >= least
    return AttackSurvival(
        attack=name, n=len(sample), found=found, wrong=wrong, low=low, high=high, least=least, passes=passes
    )


def exact_interval(found: int, n: int) -> tuple[float, float]:
    """The Clopper-Pearson interval of a share, for `found` of `n`, at 95 % (both sides together)."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if found == 0 else _solved(lambda share: _at_least(found, n, share) < tail)
    high = 1.0 if found == n else _solved(lambda share: 1 - _at_least(found + 1, n, share) > tail)
    return low, high


def _at_least(found: int, n: int, share: float) -> float:
    """The probability of `found` or more of `n`."""
    return math.fsum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(found, n + 1))


def _solved(is_below: Callable[[float], bool]) -> float:
    """Where `is_below` turns false, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
