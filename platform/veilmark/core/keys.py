"""The installation's key provider, opened once a process."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from veilmark.crypto.base import KEY_BYTES, Algorithm, CryptoError, KeyProvider, Signer
from veilmark.crypto.file_keys import FileKeyProvider
from veilmark.provenance.identity import SigningIdentity
from veilmark.settings import environment


def key_provider() -> KeyProvider:
    """Keys in `var/keys`, unlocked with the passphrase of the environment, or one generated at first use.

    With VEILMARK_KEYS=pkcs11 the Ed25519 keys are in the token that the environment names. Raises CryptoError.
    """
    folder = Path(settings.VEILMARK_VAR) / "keys"
    passphrase = settings.VEILMARK_PASSPHRASE or environment.secret_file(folder / "passphrase")
    if settings.VEILMARK_KEYS == "file":
        return _open(folder, passphrase)
    return _open_token(folder, passphrase, settings.VEILMARK_PKCS11_MODULE, settings.VEILMARK_PKCS11_TOKEN)


@lru_cache(maxsize=4)
def _open(folder: Path, passphrase: str) -> FileKeyProvider:
    return FileKeyProvider(folder, passphrase)


@lru_cache(maxsize=4)
def _open_token(folder: Path, passphrase: str, module: str, label: str) -> KeyProvider:
    from veilmark.crypto.token_keys import Token, TokenKeyProvider  # noqa: PLC0415 - most sites have no token

    for name, value in (("VEILMARK_PKCS11_MODULE", module), ("VEILMARK_PKCS11_TOKEN", label)):
        if not value:
            raise CryptoError("is not set", where=name, remedy="name the token, or set VEILMARK_KEYS=file")
    token = Token(module=module, label=label, pin=environment.secret("VEILMARK_PKCS11_PIN"))
    return TokenKeyProvider(token, _open(folder, passphrase))


def signing_key(name: str) -> Signer:
    """The Ed25519 signer of that name (a-z, 0-9, inner hyphens), made at its first use."""
    return key_provider().signing_key(name)


def site_identity() -> SigningIdentity:
    """Who signs this site's releases and log. Another name in the environment is another identity."""
    return signing_identity(settings.VEILMARK_SIGNING_KEY)


def signing_identity(name: str) -> SigningIdentity:
    """The Ed25519 and ML-DSA-65 signers of that name, which statements are signed by together."""
    return SigningIdentity(ed25519=signing_key(name), ml_dsa_65=key_provider().signing_key(name, Algorithm.ML_DSA_65))


def secret_of(name: str) -> bytes:
    """32 secret bytes of that name, made at the first use and the same ever after; at rest under the master key.

    They never leave the site. Whoever loses `var/keys` loses them: back it up. Raises CryptoError.
    """
    return key_provider().secret(name, lambda: os.urandom(KEY_BYTES))
