"""Files at rest: each encrypted under a data key of its owner (a cohort, a release), which the key provider wraps.

What is written is whole or absent; what is read is authenticated. A file's name is part of what is authenticated, so
that one ciphertext cannot be put in another's place.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from django.conf import settings

from veilmark.core.errors import ApplicationError, NotFoundError
from veilmark.core.files import draft_of
from veilmark.core.keys import key_provider
from veilmark.crypto.streams import decrypt_range, decrypt_stream, decrypted_size, encrypt_stream


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """digest: `sha256:<hex>` of the content before encryption; size: its bytes."""

    name: str
    digest: str
    size: int


class FileStore:
    """Encrypted files under one folder, named by relative paths such as `cohorts/<id>/images.npz`.

    wrapped_key: as `data_key_create` gave it. Every method raises ApplicationError for a name that is no relative
    path; those that read raise NotFoundError, and CryptoError where the key or the bytes do not fit.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: BinaryIO | bytes, *, wrapped_key: bytes) -> StoredFile:
        """Encrypt and keep `content`, replacing what had the name."""
        reader = _Digesting(io.BytesIO(content) if isinstance(content, bytes) else content)
        key = key_provider().unwrap(wrapped_key)
        with draft_of(self._path(name)) as writer:
            encrypt_stream(reader, writer, key, context=name.encode())  # type: ignore[arg-type] # it calls read alone
        return StoredFile(name=name, digest=f"sha256:{reader.digest.hexdigest()}", size=reader.size)

    def open(self, name: str, *, wrapped_key: bytes) -> BinaryIO:
        """The whole content in memory, at its start: nothing decrypted ever touches the disk."""
        plain = io.BytesIO()
        with self._open_stored(name) as stored:
            decrypt_stream(stored, plain, key_provider().unwrap(wrapped_key), context=name.encode())
        plain.seek(0)
        return plain

    def read(self, name: str, *, wrapped_key: bytes) -> bytes:
        with self.open(name, wrapped_key=wrapped_key) as plain:
            return plain.read()

    def read_range(self, name: str, *, wrapped_key: bytes, start: int, stop: int) -> Iterator[bytes]:
        """The bytes start <= i < stop, chunk by chunk: downloads of any size need little memory."""
        key = key_provider().unwrap(wrapped_key)
        with self._open_stored(name) as stored:
            yield from decrypt_range(stored, key, start=start, stop=stop, context=name.encode())

    def size(self, name: str) -> int:
        """Bytes of the content before encryption."""
        with self._open_stored(name) as stored:
            return decrypted_size(stored)

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def delete(self, name: str) -> None:
        """Remove the file; nothing happens where there is none."""
        self._path(name).unlink(missing_ok=True)

    def _open_stored(self, name: str) -> BinaryIO:
        try:
            return self._path(name).open("rb")
        except FileNotFoundError:
            raise NotFoundError("is not stored", where=name, remedy="restore it from a copy") from None

    def _path(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\0" in name:
            raise ApplicationError("is no name of a stored file", where=repr(name), remedy="use a relative path")
        return self._folder.joinpath(*parts)


class _Digesting:
    """A reader that notes digest and size of what passes."""

    def __init__(self, reader: BinaryIO) -> None:
        self._reader, self.digest, self.size = reader, sha256(), 0

    def read(self, size: int = -1) -> bytes:
        part = self._reader.read(size)
        self.digest.update(part)
        self.size += len(part)
        return part


def file_store() -> FileStore:
    return FileStore(Path(settings.VEILMARK_VAR) / "files")


def data_key_create() -> bytes:
    """A new data key, wrapped: it may lie in the database (BinaryField), useless without the key provider."""
    return key_provider().create_data_key()
