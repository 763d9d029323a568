"""What every key provider shares: its protocol, signers, the error.

Errors::

    CryptoError        anything this package refuses: what was wrong, where, what to do next

A message never says more about a ciphertext than that it does not fit: wrong key, wrong context and changed bytes
look the same, on purpose.
"""

from __future__ import annotations

from typing import Protocol

KEY_BYTES = 32


class CryptoError(Exception):
    """A refusal that a person can act on. `str()` is one line: what, where, what to do."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))


class Signer(Protocol):
    """Signs bytes with one key. key_id: `sha256:<hex>` of the raw public key."""

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

    def signing_key(self, name: str) -> Signer:
        """The signer of that name, made at the first call and the same ever after. Raises CryptoError."""
