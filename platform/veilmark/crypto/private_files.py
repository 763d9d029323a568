"""Files that only their owner may read, written once and never half."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from veilmark.crypto.base import CryptoError

_OTHERS = 0o077


def private_folder(folder: Path) -> None:
    """Make `folder` with mode 0700, or check that it is one. Raises CryptoError where others may enter it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CryptoError(f"cannot be made ({error.strerror})", where=str(folder), remedy="check the path") from error
    _refuse_others(folder, "chmod 700")


def read_private(path: Path) -> bytes | None:
    """The bytes of a private file, or None where there is none. Raises CryptoError where others may read it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CryptoError(f"cannot be read ({error.strerror})", where=str(path), remedy="check its owner") from error
    _refuse_others(path, "chmod 600")
    return content


def create_private(path: Path, content: bytes) -> bool:
    """Write `path` with mode 0600, whole and durable, unless it exists. False where another process was first."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mkstemp gives mode 0600
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return _link(Path(name), path)
    except OSError as error:
        raise CryptoError(
            f"cannot be written ({error.strerror})", where=str(path), remedy="check space and owner"
        ) from error


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in here for that folder. The lock ends with its holder, however it ends."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _link(written: Path, path: Path) -> bool:
    # a hard link, unlike a rename, fails where the name is taken: of two processes one wins, and nothing is lost
    try:
        os.link(written, path)
    except FileExistsError:
        return False
    finally:
        written.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def _refuse_others(path: Path, remedy: str) -> None:
    if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        raise CryptoError("may be read by others", where=str(path), remedy=f"{remedy} {path}")
