"""What every key provider shares: its protocol, signers, the error.

Errors::

    CryptoError        anything this package refuses: what was wrong, where, what to do next

A message never says more about a ciphertext than that it does not fit: wrong key, wrong context and changed bytes
look the same, on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

KEY_BYTES = 32


class Algorithm(StrEnum):
    """The signature algorithms there are. Which one a signature must have is fixed in code, never read from it."""

    ED25519 = "ed25519"  # RFC 8032
    ML_DSA_65 = "ml-dsa-65"  # FIPS 204, for the day when quantum computers forge Ed25519


class CryptoError(Exception):
    """A refusal that a person can act on. `str()` is one line: what, where, what to do."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))


class Signer(Protocol):
    """Signs bytes with one key, wherever it lies. key_id: `sha256:<hex>` of the raw public key."""

    @property
    def algorithm(self) -> Algorithm: ...

    @property
    def key_id(self) -> str: ...

    @property
    def public_key_bytes(self) -> bytes: ...

    def sign(self, data: bytes) -> bytes: ...


class KeyProvider(Protocol):
    """Where keys live. Data keys leave it only wrapped, or unwrapped for the moment of their use."""

    @property
    def encryption_key_id(self) -> str:
        """`sha256:<hex>` that names the master key and says nothing else about it."""

    def create_data_key(self) -> bytes:
        """A new random data key of 32 bytes, wrapped by the master key. The plain key is never stored."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The 32 bytes of a wrapped data key. Raises CryptoError where it was not wrapped here."""

    def signing_key(self, name: str, algorithm: Algorithm = Algorithm.ED25519) -> Signer:
        """The signer of that name and algorithm, made at the first call and the same ever after. Raises CryptoError."""

    def has_signing_key(self, name: str, algorithm: Algorithm = Algorithm.ED25519) -> bool:
        """Whether that signer was made, and is at hand. Raises CryptoError."""

    def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What `make` gave at the first call for that name, kept encrypted: for private keys of other kinds.

        Raises CryptoError.
        """
