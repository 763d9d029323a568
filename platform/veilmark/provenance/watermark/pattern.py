"""Where a mark's bits lie: the keyed pattern of projections, dither, pilots and slots that a tile repeats.

An image is cut into 8x8 blocks. In each block the first nine AC coefficients of the DCT are projected on a few keyed
orthonormal vectors ("slots"); a square tile of blocks carries one code word and pilots, and repeats over the image.
Projecting pixels on (DCT basis x keyed vector) is one matrix product, so no transform is ever computed.

The pattern is expanded from the key by SHAKE-256 and plain arithmetic, not by numpy's generators, whose streams may
change between versions: a mark must be readable for as long as the image exists.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.watermark import code
from veilmark.provenance.watermark.mark_id import FORMS, LONG, SHORT

BLOCK = 8
MIN_SIDE = 64  # pixels; below, a tile does not fit and no mark is promised
_COEFFICIENTS = ((0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0))  # first nine AC, zigzag


# Steps in units of the profile's. An image that uses only part of its depth is stretched to 0..255 before marking, so a
# step changes its stored values less than elsewhere; a smooth image is changed less, too. Both take longer steps at the
# same distortion. The detector tries them all.
STRENGTHS = tuple(1.2**k for k in range(6))


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A tile's shape and strength.

    `tile` in blocks, `n_slots` a block, shortest `step` of the quantiser in 0..255 units; pilots repeat every `period`
    blocks; marking may cost as much as `psnr`, in dB against the full depth. A tile can carry ids of `versions`, new
    ones of the first.
    """

    name: str
    tile: int
    n_slots: int
    step: float
    period: int
    psnr: float
    versions: tuple[int, ...]


# Larger tiles spread a bit over fewer, stronger slots.
PROFILES = (
    Profile(name="S", tile=8, n_slots=6, step=42.0, period=8, psnr=40.5, versions=(SHORT,)),
    Profile(name="M", tile=16, n_slots=3, step=53.0, period=16, psnr=42.5, versions=(LONG, SHORT)),
    Profile(name="L", tile=32, n_slots=1, step=78.0, period=16, psnr=43.5, versions=(LONG, SHORT)),
)


def profile_for(height: int, width: int) -> Profile:
    """The largest tile that fits into an image; the smallest one for images too small for any."""
    fitting = [profile for profile in PROFILES if profile.tile * BLOCK <= min(height, width)]
    return fitting[-1] if fitting else PROFILES[0]


def version_for(height: int, width: int) -> int:
    """The version of new ids for images of this size: 128 bits from 128 px, 64 bits below."""
    return profile_for(height, width).versions[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pattern:
    """A profile under a key. Slots are numbered row, column, slot over the tile: n = tile * tile * n_slots.

    `projection` [64, n_slots] maps a block's 64 pixels to its slots;
    `data_slots` are the slots that carry coded bits, in the bits' order;
    `scramble` [n] is +1 or -1; `pilots` [tile, tile, n_slots] holds the other slots' signs, 0 in the data slots;
    `shifted_pilots` [period * period * n_slots, period * period] holds one period under each of its circular shifts.
    """

    profile: Profile
    projection: NDArray[np.float32]
    data_slots: NDArray[np.intp]
    scramble: NDArray[np.float32]
    pilots: NDArray[np.float32]
    shifted_pilots: NDArray[np.float32]

    def slot_signs(self, messages: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Messages [N, 96 or 160] to the sign (+1 for bit 0) of every slot, with pilots: [N, tile, tile, n_slots]."""
        coded = code.signs(messages)
        signs = np.ones((len(messages), self.scramble.size), np.float32)
        signs[:, self.data_slots] = coded[:, self._carried(coded.shape[1])]
        return (signs * self.scramble).reshape(-1, *self.pilots.shape)

    def gather(self, folded: NDArray[np.float32], n_coded: int) -> NDArray[np.float32]:
        """Soft slot values [K, tile, tile, n_slots] to soft coded bits [K, n_coded], those of one bit added up."""
        plain = (folded.reshape(-1, self.scramble.size) * self.scramble)[:, self.data_slots]
        first = np.flatnonzero(np.diff(self._carried(n_coded), prepend=-1))
        soft: NDArray[np.float32] = np.add.reduceat(plain, first, axis=1)
        return soft

    def _carried(self, n_coded: int) -> NDArray[np.intp]:
        """The coded bit of each data slot, 0, 0, 1, 1, 2, ...: bits that have one slot more lie far from each other."""
        return np.arange(self.data_slots.size) * n_coded // self.data_slots.size


@lru_cache(maxsize=16)
def pattern_for(profile: Profile, key: bytes) -> Pattern:
    """Expand `key` into the pattern of `profile`."""
    stream = _KeyStream(key, profile.name)
    tile, period = profile.tile, profile.period
    vectors = _orthonormal(stream.normal(len(_COEFFICIENTS) * profile.n_slots).reshape(-1, len(_COEFFICIENTS)))
    one_period = _pilots(profile, stream)
    pilots = np.tile(one_period, (tile // period, tile // period, 1))
    order = np.argsort(stream.uniform(pilots.size), kind="stable")
    signs = np.where(stream.uniform(pilots.size) < 0.5, -1, 1).astype(np.float32)
    return Pattern(
        profile=profile,
        projection=(_dct_basis() @ vectors.T).astype(np.float32),
        data_slots=order[pilots.ravel()[order] == 0],
        scramble=np.where(pilots.ravel() == 0, signs, pilots.ravel()),
        pilots=pilots,
        shifted_pilots=_shifts(one_period),
    )


def _pilots(profile: Profile, stream: _KeyStream) -> NDArray[np.float32]:
    """A sixth of one period's slots, at least 64 a tile, as far as the code word leaves room."""
    n = profile.period**2 * profile.n_slots
    n_periods = (profile.tile // profile.period) ** 2
    longest = max(code.coded_length(FORMS[version].n_message_bits) for version in profile.versions)
    n_pilots = min(n - -(-longest // n_periods), max(64 // n_periods, n // 6))
    pilots = np.where(stream.uniform(n) < 0.5, -1, 1).astype(np.float32)
    pilots[np.argsort(stream.uniform(n), kind="stable")[n_pilots:]] = 0
    return pilots.reshape(profile.period, profile.period, profile.n_slots)


def _shifts(one_period: NDArray[np.float32]) -> NDArray[np.float32]:
    period = len(one_period)
    shifted = [np.roll(one_period, (y, x), axis=(0, 1)).ravel() for y in range(period) for x in range(period)]
    return np.ascontiguousarray(np.stack(shifted, axis=1))


class _KeyStream:
    """Numbers in 0..1 from SHAKE-256 of the key and a name, the same on every machine and version."""

    def __init__(self, key: bytes, name: str) -> None:
        self._seed = len(key).to_bytes(4, "big") + key + name.encode()
        self._n_calls = 0

    def uniform(self, n: int) -> NDArray[np.float64]:
        self._n_calls += 1
        expanded = hashlib.shake_256(self._seed + self._n_calls.to_bytes(4, "big")).digest(8 * n)
        return (np.frombuffer(expanded, ">u8") >> np.uint64(11)).astype(np.float64) / 2**53

    def normal(self, n: int) -> NDArray[np.float64]:
        radius, angle = np.sqrt(-2 * np.log1p(-self.uniform(n))), 2 * np.pi * self.uniform(n)
        result: NDArray[np.float64] = radius * np.cos(angle)
        return result


def _orthonormal(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gram-Schmidt. A single row is flattened to signs, which spreads its energy evenly over the coefficients."""
    if len(rows) == 1:
        rows = np.sign(rows)
    result: list[NDArray[np.float64]] = []
    for row in rows:
        rest = row - sum((row @ done) * done for done in result)
        result.append(rest / np.sqrt(rest @ rest))
    return np.array(result)


def _dct_basis() -> NDArray[np.float64]:
    """[64, 9]: the orthonormal 8x8 DCT-II basis images of the coefficients in use."""
    k = np.arange(BLOCK)
    rows = np.sqrt(2 / BLOCK) * np.cos(np.pi * (2 * k + 1) * k[:, None] / (2 * BLOCK))
    rows[0] /= np.sqrt(2)
    return np.stack([np.outer(rows[u], rows[v]).ravel() for u, v in _COEFFICIENTS], axis=1)
