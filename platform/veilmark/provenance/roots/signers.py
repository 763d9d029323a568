"""This project's keys as securesystemslib wants them, which signs and verifies for The Update Framework."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from securesystemslib.signer import Key, SecretsHandler, Signature, Signer, SSlibKey

from veilmark.crypto.base import Algorithm
from veilmark.crypto.base import Signer as KeySigner
from veilmark.provenance.identity import SigningIdentity


class TufSigner(Signer):
    """One key of an identity."""

    def __init__(self, key: KeySigner) -> None:
        self._key = key
        load: Callable[[bytes], Ed25519PublicKey | MLDSA65PublicKey] = (
            Ed25519PublicKey.from_public_bytes
            if key.algorithm is Algorithm.ED25519
            else MLDSA65PublicKey.from_public_bytes
        )
        self._public_key = SSlibKey.from_crypto(load(key.public_key_bytes))

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> Signer:
        """Keys come from a key provider, never from an address in a file."""
        raise NotImplementedError

    @property
    def public_key(self) -> SSlibKey:
        """The public half, under the id that the framework gives it."""
        return self._public_key

    def sign(self, payload: bytes) -> Signature:
        """ML-DSA signs "tuf", the key type's version and the SHA-512 of the payload (TAP 21)."""
        if self._key.algorithm is Algorithm.ML_DSA_65:
            payload = b"tuf\x01" + hashlib.sha512(payload).digest()
        return Signature(self._public_key.keyid, self._key.sign(payload).hex())


def tuf_signers(holders: Iterable[SigningIdentity]) -> list[TufSigner]:
    """Both keys of each holder."""
    return [TufSigner(key) for holder in holders for key in holder.signers.values()]
