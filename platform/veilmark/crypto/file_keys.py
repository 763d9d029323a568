"""The embedded key provider: keys as encrypted files in one private folder.

    passphrase --scrypt--> file key --AES-256-GCM--> master.key        (made at the first start)
    master key --HKDF--> wrapping key --AES-256-GCM--> data keys       (stored by whoever uses them)
               --HKDF--> storing key  --AES-256-GCM--> signing-NAME.key, signing-NAME.ml-dsa-65.key, secret-NAME.key

It is only as safe as the passphrase and the account it runs under. The same protocol takes a hardware provider.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from veilmark.crypto.base import KEY_BYTES, Algorithm, CryptoError
from veilmark.crypto.private_files import create_private, private_folder, read_private
from veilmark.crypto.signatures import SEED_BYTES, SeedSigner

_NONCE = 12
_SALT = 16
_MASTER_MAGIC = b"VMK1"
_DATA_KEY_MAGIC = b"VMD1"
_SIGNING_MAGIC = b"VMG1"
_SECRET_MAGIC = b"VMN1"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


class FileKeyProvider:
    """A `KeyProvider` whose keys lie in `folder` (mode 0700), each file (0600) encrypted under `passphrase`.

    The master key is made at the first start; two processes that start at once end with the same one. Raises
    CryptoError for an empty or wrong passphrase, a changed file, and a folder or file that others may read.
    """

    def __init__(self, folder: Path, passphrase: str) -> None:
        if not passphrase:
            raise CryptoError("is empty", where="passphrase", remedy="set the passphrase of the key folder")
        private_folder(folder)
        self.folder = folder
        self._master = _load_or_create_master(folder / "master.key", passphrase)

    @cached_property
    def encryption_key_id(self) -> str:
        """`sha256:<hex>` that names the master key and says nothing else about it."""
        return f"sha256:{self._derive(b'key id').hex()}"

    def create_data_key(self) -> bytes:
        """A new random data key of 32 bytes, wrapped by the master key."""
        return _seal(self._derive(b"wrapping"), os.urandom(KEY_BYTES), _DATA_KEY_MAGIC)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The 32 bytes of a wrapped data key. Raises CryptoError where it was not wrapped by this master key."""
        return _unseal(self._derive(b"wrapping"), wrapped, _DATA_KEY_MAGIC, where="wrapped data key")

    def signing_key(self, name: str, algorithm: Algorithm = Algorithm.ED25519) -> SeedSigner:
        """The signer of that name (a-z, 0-9 and inner hyphens), made at the first call. Raises CryptoError.

        Each algorithm has its own seed: one that leaks or breaks says nothing about the other.
        """
        label = _label(name, algorithm)
        seed = self._keep(name, f"signing-{label}.key", _SIGNING_MAGIC + label.encode(), lambda: os.urandom(SEED_BYTES))
        return SeedSigner(seed, algorithm)

    @staticmethod
    def check_name(name: str) -> None:
        """Raises CryptoError for what is no name of a key."""
        if not _NAME.fullmatch(name):
            raise CryptoError(f"is {name!r}", where="name of a key", remedy="use a-z, 0-9 and hyphens")

    def has_signing_key(self, name: str, algorithm: Algorithm = Algorithm.ED25519) -> bool:
        """Whether a key of that name and algorithm was made here."""
        return (self.folder / f"signing-{_label(name, algorithm)}.key").exists()

    def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What `make` gave at the first call for that name, kept encrypted. Of two processes one wins."""
        return self._keep(name, f"secret-{name}.key", _SECRET_MAGIC + name.encode(), make)

    def _keep(self, name: str, file: str, magic: bytes, make: Callable[[], bytes]) -> bytes:
        self.check_name(name)
        path, key = self.folder / file, self._derive(b"storing")
        stored = read_private(path)
        if stored is None:
            create_private(path, _seal(key, make(), magic))
            stored = read_private(path) or b""
        return _unseal(key, stored, magic, where=str(path))

    def _derive(self, purpose: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"veilmark/" + purpose).derive(self._master)


def _label(name: str, algorithm: Algorithm) -> str:
    return name if algorithm is Algorithm.ED25519 else f"{name}.{algorithm}"  # a name holds no point


def _load_or_create_master(path: Path, passphrase: str) -> bytes:
    stored = read_private(path)
    if stored is None:
        salt, master = os.urandom(_SALT), os.urandom(KEY_BYTES)
        if create_private(path, salt + _seal(_stretch(passphrase, salt), master, _MASTER_MAGIC)):
            return master
        stored = read_private(path) or b""  # another process was first: its key counts
    salt, sealed = stored[:_SALT], stored[_SALT:]
    if not sealed:
        raise CryptoError("is cut short", where=str(path), remedy="restore it from a copy")
    return _unseal(_stretch(passphrase, salt), sealed, _MASTER_MAGIC, where=str(path))


def _stretch(passphrase: str, salt: bytes) -> bytes:
    # scrypt at one of OWASP's equal-cost settings (32 MiB, Password Storage Cheat Sheet). Fixed and not read from the
    # file, so that a changed file can neither lower the cost nor ask for all memory.
    return Scrypt(salt=salt, length=KEY_BYTES, n=2**15, r=8, p=3).derive(passphrase.encode())


def _seal(key: bytes, plain: bytes, magic: bytes) -> bytes:
    """magic[:4] | nonce | ciphertext and tag; all of `magic` is authenticated."""
    nonce = os.urandom(_NONCE)
    return magic[:4] + nonce + AESGCM(key).encrypt(nonce, plain, magic)


def _unseal(key: bytes, sealed: bytes, magic: bytes, *, where: str) -> bytes:
    version, nonce, ciphertext = sealed[:4], sealed[4 : 4 + _NONCE], sealed[4 + _NONCE :]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, version + magic[4:])
    except (InvalidTag, ValueError) as error:
        raise CryptoError(
            "cannot be opened: another passphrase or key, or the bytes were changed",
            where=where,
            remedy="check the passphrase, or restore the file from a copy",
        ) from error
