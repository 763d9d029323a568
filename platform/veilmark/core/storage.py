"""Files at rest: each encrypted under a data key of its owner (a cohort, a release), which the key provider wraps.

What is written is whole or absent; what is read is authenticated before a byte of it is used.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from django.conf import settings

from veilmark.core.errors import ApplicationError, NotFoundError
from veilmark.core.keys import key_provider


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """digest: `sha256:<hex>` of the content before encryption; size: its bytes."""

    name: str
    digest: str
    size: int


class FileStore:
    """Encrypted files under one folder, named by relative paths such as `cohorts/<id>/images.npz`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: BinaryIO | bytes, *, wrapped_key: str) -> StoredFile:
        """Encrypt and keep `content`, replacing what had the name. Raises ApplicationError, CryptoError."""
        raise NotImplementedError

    def open(self, name: str, *, wrapped_key: str) -> BinaryIO:
        """The whole decrypted content, authenticated, as a stream in memory that can seek. Raises NotFoundError, CryptoError."""
        raise NotImplementedError

    def read(self, name: str, *, wrapped_key: str) -> bytes:
        with self.open(name, wrapped_key=wrapped_key) as stream:
            return stream.read()

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def delete(self, name: str) -> None:
        """Remove the file; nothing happens where there is none."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\0" in name:
            raise ApplicationError("is no name of a stored file", where=repr(name), remedy="use a relative path")
        return self._folder.joinpath(*parts)


def file_store() -> FileStore:
    return FileStore(Path(settings.VEILMARK_VAR) / "files")


def data_key_create() -> str:
    """A new data key, wrapped: text that may lie in the database, useless without the key provider."""
    raise NotImplementedError
