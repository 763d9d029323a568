"""Signing and verifying with the algorithms of this project, each by its one function of the `cryptography` package."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from veilmark.crypto.base import Algorithm, CryptoError

SEED_BYTES = 32  # of both: RFC 8032, 5.1.5; FIPS 204, algorithm 1 (xi)
PUBLIC_KEY_BYTES: Mapping[Algorithm, int] = {Algorithm.ED25519: 32, Algorithm.ML_DSA_65: 1952}
SIGNATURE_BYTES: Mapping[Algorithm, int] = {Algorithm.ED25519: 64, Algorithm.ML_DSA_65: 3309}

_PrivateKey = Ed25519PrivateKey | MLDSA65PrivateKey
_PublicKey = Ed25519PublicKey | MLDSA65PublicKey
_PRIVATE: Mapping[Algorithm, Callable[[bytes], _PrivateKey]] = {
    Algorithm.ED25519: Ed25519PrivateKey.from_private_bytes,
    Algorithm.ML_DSA_65: MLDSA65PrivateKey.from_seed_bytes,
}
_PUBLIC: Mapping[Algorithm, Callable[[bytes], _PublicKey]] = {
    Algorithm.ED25519: Ed25519PublicKey.from_public_bytes,
    Algorithm.ML_DSA_65: MLDSA65PublicKey.from_public_bytes,
}


def key_id_of(public_key: bytes) -> str:
    """A key's id: `sha256:<hex>` of its raw bytes, so that it cannot be claimed for another key."""
    return f"sha256:{hashlib.sha256(public_key).hexdigest()}"


class SeedSigner:
    """Signs with the key that a seed of 32 bytes stands for. Ed25519 repeats its signatures, ML-DSA-65 is hedged.

    Raises CryptoError for a seed of another length.
    """

    def __init__(self, seed: bytes, algorithm: Algorithm) -> None:
        if len(seed) != SEED_BYTES:
            raise CryptoError(f"has {len(seed)} bytes, not {SEED_BYTES}", where="seed of a signing key")
        self._algorithm, self._private_key = algorithm, _PRIVATE[algorithm](seed)

    @property
    def algorithm(self) -> Algorithm:
        """Which one it is."""
        return self._algorithm

    @cached_property
    def public_key_bytes(self) -> bytes:
        """The raw public key, `PUBLIC_KEY_BYTES` long."""
        return self._private_key.public_key().public_bytes_raw()

    @cached_property
    def key_id(self) -> str:
        """`key_id_of` the public key."""
        return key_id_of(self.public_key_bytes)

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`, `SIGNATURE_BYTES` long. ML-DSA: pure, with an empty context (FIPS 204, 5.2)."""
        return self._private_key.sign(data)


def is_signed(data: bytes, signature: bytes, *, public_key: bytes, algorithm: Algorithm) -> bool:
    """Whether `signature` over `data` was made by the key of that raw public key. A key of no sense signs nothing."""
    try:
        _PUBLIC[algorithm](public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
