"""The installation's key provider, opened once a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from veilmark.settings import environment

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from veilmark.crypto import FileKeyProvider


def key_provider() -> FileKeyProvider:
    """Keys in `var/keys`, unlocked with the passphrase of the environment, or one generated at first use."""
    folder = Path(settings.VEILMARK_VAR) / "keys"
    return _open(folder, settings.VEILMARK_PASSPHRASE or environment.secret_file(folder / "passphrase"))


@lru_cache(maxsize=4)
def _open(folder: Path, passphrase: str) -> FileKeyProvider:
    from veilmark.crypto import FileKeyProvider

    return FileKeyProvider(folder, passphrase)


def signing_key(name: str) -> Ed25519PrivateKey:
    return key_provider().signing_key(name)
