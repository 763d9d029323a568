"""The 64-bit id that a mark carries, and the keyed check that tells a decoded id from noise."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.errors import MarkError

# Public on purpose: anybody may look for a mark. Whoever can look can also forge or erase, so a mark found with
# this key points to a signed entry and proves nothing by itself.
PUBLIC_DETECTION_KEY = b"veilmark public detection key 1"

ID_BITS = 64
CHECK_BITS = 32
MESSAGE_BITS = ID_BITS + CHECK_BITS
MARK_VERSION = 1


@dataclass(frozen=True, kw_only=True, order=True)
class MarkId:
    """version (4 bits), release (20 bits: the mark release number of the manifest), random (40 bits)."""

    release: int
    random: int
    version: int = MARK_VERSION

    def __post_init__(self) -> None:
        for name, n_bits in (("version", 4), ("release", 20), ("random", 40)):
            if not 0 <= getattr(self, name) < 1 << n_bits:
                raise MarkError(f"{name} does not fit into {n_bits} bits", where="mark id")

    @classmethod
    def draw(cls, release: int) -> MarkId:
        """A fresh id for an image of `release`, from the operating system's generator."""
        return cls(release=release, random=secrets.randbits(40))

    @classmethod
    def from_hex(cls, text: str) -> MarkId:
        """The inverse of `hex`. Raises MarkError where `text` is not 16 lower-case hexadecimal digits."""
        if len(text) != 16 or set(text) - set("0123456789abcdef"):
            raise MarkError(f"{text[:40]!r} is not 16 hexadecimal digits", where="mark id")
        return cls.from_int(int(text, 16))

    @classmethod
    def from_int(cls, packed: int) -> MarkId:
        """Unpack a 64-bit integer, version in the highest bits."""
        return cls(version=packed >> 60, release=packed >> 40 & 0xFFFFF, random=packed & 0xFFFFFFFFFF)

    def __int__(self) -> int:
        return self.version << 60 | self.release << 40 | self.random

    @property
    def hex(self) -> str:
        """16 lower-case hexadecimal digits."""
        return f"{int(self):016x}"

    def __str__(self) -> str:
        return self.hex


def message_bits(ids: Sequence[MarkId], key: bytes) -> NDArray[np.uint8]:
    """The bits to encode, [N, 96]: the id, then the first 32 bits of HMAC-SHA-256(key, id)."""
    packed = b"".join(int(mark).to_bytes(8, "big") + _check(int(mark), key) for mark in ids)
    return np.unpackbits(np.frombuffer(packed, np.uint8)).reshape(len(ids), MESSAGE_BITS)


def checked_id(bits: NDArray[np.uint8], key: bytes) -> MarkId | None:
    """The id in 96 decoded bits, or None where the keyed check fails (always but once in 2^32 for noise)."""
    packed = np.packbits(bits).tobytes()
    number = int.from_bytes(packed[:8], "big")
    return MarkId.from_int(number) if hmac.compare_digest(_check(number, key), packed[8:]) else None


def _check(number: int, key: bytes) -> bytes:
    return hmac.new(key, number.to_bytes(8, "big"), hashlib.sha256).digest()[: CHECK_BITS // 8]
