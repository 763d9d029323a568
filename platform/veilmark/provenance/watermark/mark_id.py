"""The id that a mark carries, of 64 or 128 bits, and the keyed check that tells a decoded id from noise.

Images that can carry 128 bits (from 128 px) do. Sites number their releases alike, so the random part alone keeps their
ids apart: of a million images under one number, 40 random bits repeat an id with probability .37, 80 bits with 4e-13.
"""

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

CHECK_BITS = 32
_VERSION_BITS = 4


@dataclass(frozen=True, kw_only=True)
class IdForm:
    """How an id is divided, version (4 bits) first."""

    release_bits: int
    random_bits: int

    @property
    def n_bits(self) -> int:
        """Of the whole id."""
        return _VERSION_BITS + self.release_bits + self.random_bits

    @property
    def n_message_bits(self) -> int:
        """Of the id and its check."""
        return self.n_bits + CHECK_BITS


SHORT, LONG = 1, 2  # versions
FORMS = {SHORT: IdForm(release_bits=20, random_bits=40), LONG: IdForm(release_bits=44, random_bits=80)}
_VERSION_OF_BYTES = {form.n_bits // 8: version for version, form in FORMS.items()}


@dataclass(frozen=True, kw_only=True, order=True)
class MarkId:
    """`version` tells the form: SHORT (64 bits) or LONG (128 bits). `release` is the manifest's mark release number."""

    release: int
    random: int
    version: int = SHORT

    def __post_init__(self) -> None:
        if self.version not in FORMS:
            raise MarkError(f"version {self.version} is not known", where="mark id", remedy="update veilmark")
        for name, n_bits in (("release", self.form.release_bits), ("random", self.form.random_bits)):
            if not 0 <= getattr(self, name) < 1 << n_bits:
                raise MarkError(f"{name} does not fit into {n_bits} bits", where="mark id")

    @classmethod
    def draw(cls, release: int, version: int = SHORT) -> MarkId:
        """A fresh id for an image of `release`, from the operating system's generator."""
        return cls(release=release, random=secrets.randbits(FORMS[version].random_bits), version=version)

    @classmethod
    def from_hex(cls, text: str) -> MarkId:
        """The inverse of `hex`. Raises MarkError for anything but 16 or 32 lower-case hexadecimal digits of an id."""
        if len(text) not in (16, 32) or set(text) - set("0123456789abcdef"):
            raise MarkError(f"{text[:40]!r} is not 16 or 32 hexadecimal digits", where="mark id")
        return cls.from_bytes(bytes.fromhex(text))

    @classmethod
    def from_bytes(cls, packed: bytes) -> MarkId:
        """The inverse of `bytes(mark)`, 8 or 16 bytes. Raises MarkError where the first digit is not their version."""
        number, version = int.from_bytes(packed, "big"), _VERSION_OF_BYTES[len(packed)]
        if (first := packed[0] >> 8 - _VERSION_BITS) != version:
            what = f"an id of {2 * len(packed)} digits begins with {version}, not {first:x}"
            raise MarkError(what, where="mark id")
        form = FORMS[version]
        release = number >> form.random_bits & (1 << form.release_bits) - 1
        return cls(version=version, release=release, random=number & (1 << form.random_bits) - 1)

    @property
    def form(self) -> IdForm:
        """How its bits are divided."""
        return FORMS[self.version]

    def __bytes__(self) -> bytes:
        head = self.version << self.form.release_bits | self.release
        return (head << self.form.random_bits | self.random).to_bytes(self.form.n_bits // 8, "big")

    @property
    def hex(self) -> str:
        """16 or 32 lower-case hexadecimal digits."""
        return bytes(self).hex()

    def __str__(self) -> str:
        return self.hex


def message_bits(ids: Sequence[MarkId], key: bytes) -> NDArray[np.uint8]:
    """The bits to encode of ids of one version, [N, 96 or 160]: the id, then 32 bits of HMAC-SHA-256(key, id)."""
    packed = b"".join(bytes(mark) + _check(bytes(mark), key) for mark in ids)
    return np.unpackbits(np.frombuffer(packed, np.uint8)).reshape(len(ids), -1)


def checked_id(bits: NDArray[np.uint8], key: bytes) -> MarkId | None:
    """The id in 96 or 160 decoded bits, or None where the keyed check fails (always but once in 2^32 for noise)."""
    packed = np.packbits(bits).tobytes()
    body, check = packed[: -CHECK_BITS // 8], packed[-CHECK_BITS // 8 :]
    if not hmac.compare_digest(_check(body, key), check):
        return None
    try:
        return MarkId.from_bytes(body)
    except MarkError:  # whoever has the key can write any bits
        return None


def _check(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()[: CHECK_BITS // 8]
