"""The installation's key provider, opened once a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from veilmark.crypto.base import Algorithm, KeyProvider, Signer
from veilmark.crypto.file_keys import FileKeyProvider
from veilmark.provenance.identity import SigningIdentity
from veilmark.settings import environment


def key_provider() -> KeyProvider:
    """Keys in `var/keys`, unlocked with the passphrase of the environment, or one generated at first use."""
    folder = Path(settings.VEILMARK_VAR) / "keys"
    return _open(folder, settings.VEILMARK_PASSPHRASE or environment.secret_file(folder / "passphrase"))


@lru_cache(maxsize=4)
def _open(folder: Path, passphrase: str) -> KeyProvider:
    return FileKeyProvider(folder, passphrase)


def signing_key(name: str) -> Signer:
    """The Ed25519 signer of that name (a-z, 0-9, inner hyphens), made at its first use."""
    return key_provider().signing_key(name)


def signing_identity(name: str) -> SigningIdentity:
    """The Ed25519 and ML-DSA-65 signers of that name, which statements are signed by together."""
    return SigningIdentity(ed25519=signing_key(name), ml_dsa_65=key_provider().signing_key(name, Algorithm.ML_DSA_65))
