"""Unpacking a zip that somebody uploaded: bounded, without links, without paths that lead elsewhere."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from veilmark.core.errors import ApplicationError

MAX_FILES = 200_000
MAX_BYTES = 20 * 2**30
MAX_RATIO = 200  # a medical image compresses 2 to 20 times; a bomb 1,000 times
RESOURCE_FORKS = "__MACOSX/"  # what one operating system adds beside the files: not the custodian's
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)


class ArchiveError(ApplicationError):
    """A zip that is broken or that must not be unpacked."""


def extract_zip(path: Path, folder: Path) -> Path:
    """Unpack into `folder` and return the folder that holds the files (a single top folder is stepped into)."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [
                entry
                for entry in archive.infolist()
                if not entry.is_dir() and not entry.filename.startswith(RESOURCE_FORKS)
            ]
            _refuse_bombs(path, entries)
            for entry in entries:
                _extract(archive, entry, folder)
    except DAMAGE as error:
        raise ArchiveError("is no whole zip", where=path.name, remedy="upload it again, or a folder") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError("holds one name twice", where=path.name, remedy="pack each file once") from error
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _refuse_bombs(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    n_bytes = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if len(entries) > MAX_FILES or n_bytes > MAX_BYTES or n_bytes > MAX_RATIO * max(packed, 2**20):
        raise ArchiveError(
            f"unpacks to {len(entries)} files, {n_bytes / 2**30:.1f} GiB", where=path.name, remedy="split the upload"
        )


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    is_link = (entry.external_attr >> 16) & 0o170000 == 0o120000
    if not name.parts or name.is_absolute() or ".." in name.parts or is_link or ":" in name.parts[0]:
        raise ArchiveError("leads out of the archive", where=entry.filename, remedy="pack plain files only")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as sink:
        shutil.copyfileobj(source, sink)
