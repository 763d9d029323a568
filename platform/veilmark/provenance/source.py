"""Reading a bundle from a folder or from a zip, without ever unpacking or following anything.

A bundle comes from strangers: links, paths that leave the folder, repeated names, declared sizes out of proportion
are refused before a byte is read.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from veilmark.provenance.errors import BundleError, FileError, FormatError
from veilmark.provenance.files import MAX_FILE_BYTES
from veilmark.provenance.manifest import MAX_DEPTH, MAX_IMAGES, check_path

_MAX_FILES = 8 * MAX_IMAGES
_MAX_TOTAL_BYTES = 64 * 1024**3
_MAX_RATIO = 200  # text of JSON packs about twenty times; images do not pack
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first date: a bundle's zip must not depend on the clock


class BundleSource(Protocol):
    """The files of a bundle."""

    @property
    def where(self) -> str:
        """The folder or zip, for messages."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Path to size in bytes."""

    def read(self, name: str) -> bytes:
        """Raises FileError where the file is missing or damaged."""


@contextmanager
def open_bundle(path: Path) -> Iterator[BundleSource]:
    """A folder or a zip file. Raises BundleError."""
    if path.is_dir():
        yield _Folder(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield _Zip(path, archive)
    except (zipfile.BadZipFile, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BundleError(f"is neither a folder nor a whole zip file ({reason})", where=str(path)) from error


def zip_bundle(folder: Path, out: Path) -> None:
    """Pack a bundle: the same files give the same bytes. Images are stored as they are. Raises BundleError."""
    source = _Folder(folder)
    try:
        with zipfile.ZipFile(out, "w") as archive:
            for name in sorted(source.sizes):
                info = zipfile.ZipInfo(name, _EPOCH)
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                is_image = name.startswith("images/")
                info.compress_type = zipfile.ZIP_STORED if is_image else zipfile.ZIP_DEFLATED
                archive.writestr(info, source.read(name))
    except OSError as error:
        raise BundleError(f"cannot be written ({error.strerror})", where=str(out)) from error


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path, self.where = path, str(path)
        self.sizes = dict(self._walk())

    def _walk(self, below: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
        if depth > MAX_DEPTH:
            raise BundleError("lies too deep", where=f"{self.where}: {below[:80]}", remedy="remove it")
        with os.scandir(self._path / below) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            name = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(f"{name}/", depth + 1)
                continue
            if not entry.is_file(follow_symlinks=False):
                raise BundleError("is a link or no plain file", where=f"{self.where}: {name}", remedy="remove it")
            yield name, entry.stat(follow_symlinks=False).st_size

    def read(self, name: str) -> bytes:
        if name not in self.sizes:
            raise FileError("is missing", where=name)
        if self.sizes[name] > MAX_FILE_BYTES:
            raise FileError(f"is larger than {MAX_FILE_BYTES} bytes", where=name)
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            raise FileError(f"cannot be read ({error.strerror})", where=name) from error


class _Zip:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.where, self._archive = str(path), archive
        entries = [info for info in archive.infolist() if not info.is_dir()]
        self.sizes = {info.filename: info.file_size for info in entries}
        if len(entries) > _MAX_FILES or sum(self.sizes.values()) > _MAX_TOTAL_BYTES:
            raise BundleError("declares too many files or bytes", where=self.where)
        if len(self.sizes) != len(entries):
            names = [info.filename for info in entries]
            twice = next(name for name in self.sizes if names.count(name) > 1)
            raise BundleError("is there twice", where=f"{self.where}: {twice[:80]!r}")
        for info in entries:
            self._check(info)

    def _check(self, info: zipfile.ZipInfo) -> None:
        where = f"{self.where}: {info.filename[:80]!r}"
        try:
            check_path(info.filename, where=self.where)
        except FormatError as error:
            raise BundleError("is no plain relative path", where=where) from error
        if info.flag_bits & 1 or stat.S_ISLNK(info.external_attr >> 16):
            raise BundleError("is encrypted or a link", where=where)
        if info.file_size > MAX_FILE_BYTES or info.file_size > 4096 + _MAX_RATIO * info.compress_size:
            raise BundleError(f"declares {info.file_size} bytes out of {info.compress_size}", where=where)

    def read(self, name: str) -> bytes:
        if name not in self.sizes:
            raise FileError("is missing", where=name)
        try:
            with self._archive.open(name) as stream:
                data = stream.read(self.sizes[name] + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise FileError("is damaged", where=name) from error
        if len(data) != self.sizes[name]:
            raise FileError("is not of its declared size", where=name)
        return data
