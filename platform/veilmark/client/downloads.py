"""Fetching a bundle: continued where it was cut (RFC 9110, ranges with If-Range), kept only with the right digest."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from veilmark.client.errors import ClientError, DownloadError, RefusedError

MAX_IDLE_ATTEMPTS = 3
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Download:
    """The file as it lies on disk. n_fetched: how many of its bytes this call brought."""

    path: Path
    digest: str
    n_bytes: int
    n_fetched: int


def fetch(http: httpx.Client, address: str, path: Path, *, digest: str, progress: Progress | None = None) -> Download:
    """Bring the file at `address` to `path`, through a partial file beside it that the next call continues.

    A lost connection is taken up again as long as bytes arrive. Raises RefusedError, DownloadError (cut, or not the
    bytes of `digest`), ClientError (the folder cannot be written, another file has the name).
    """
    if path.exists():
        return _already_there(path, digest)
    # The digest is in the partial file's name: what was begun of another bundle is never continued with this one.
    partial = path.with_name(f".{path.name}.{digest.removeprefix('sha256:')[:16]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as sink:
            n_before = sink.tell()
            _fill(http, address, sink, digest=digest, progress=progress or (lambda *_: None))
            os.fsync(sink.fileno())
            n_bytes = sink.tell()
        _keep(partial, path, digest)
    except OSError as error:
        raise ClientError(f"cannot be written ({error.strerror})", where=str(path), remedy="choose a folder") from error
    return Download(path=path, digest=digest, n_bytes=n_bytes, n_fetched=n_bytes - n_before)


def file_digest(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _already_there(path: Path, digest: str) -> Download:
    if not path.is_file() or file_digest(path) != digest:
        raise ClientError("another file has this name", where=str(path), remedy="move it away, or choose --out")
    return Download(path=path, digest=digest, n_bytes=path.stat().st_size, n_fetched=0)


def _keep(partial: Path, path: Path, digest: str) -> None:
    if file_digest(partial) != digest:
        partial.unlink()  # to continue it would give the same wrong bytes
        raise DownloadError("the bytes are not those that were published", where=path.name, remedy="download it again")
    partial.replace(path)


def _fill(http: httpx.Client, address: str, sink: BinaryIO, *, digest: str, progress: Progress) -> None:
    """Append until all is there. Attempts that bring nothing are counted, those that bring bytes are not."""
    n_idle = 0
    while True:
        n_before = sink.tell()
        try:
            if _append(http, address, sink, digest=digest, progress=progress):
                return
            cause: httpx.TransportError | None = None
        except httpx.TransportError as error:
            cause = error
        sink.flush()
        n_idle = 0 if sink.tell() > n_before else n_idle + 1
        if n_idle >= MAX_IDLE_ATTEMPTS:
            raise DownloadError(
                f"the connection was lost at byte {sink.tell()}", where=address, remedy="run it again: it continues"
            ) from cause


def _append(http: httpx.Client, address: str, sink: BinaryIO, *, digest: str, progress: Progress) -> bool:
    """One request for what is missing; whether the file is whole after it."""
    n_there = sink.tell()
    # Bytes as they lie at the server, so that ranges and digest speak of the same ones.
    headers = {"Accept-Encoding": "identity"}
    if n_there:
        headers |= {"Range": f"bytes={n_there}-", "If-Range": f'"{digest}"'}
    with http.stream("GET", address, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and n_there:
            return True  # nothing is missing: the digest says whether it is right
        if not response.is_success:
            response.read()
            raise RefusedError.of(response)
        n_total = _total(response, n_there)
        if response.status_code == httpx.codes.OK:
            sink.seek(0)
            sink.truncate()  # another file, or ranges are not spoken there: from the start
        for chunk in response.iter_bytes():
            sink.write(chunk)
            progress(sink.tell(), n_total)
        return sink.tell() >= n_total


def _total(response: httpx.Response, n_there: int) -> int:
    """The size of the whole file. Raises DownloadError where the answer is not what was asked for."""
    where = str(response.url)
    if response.status_code == httpx.codes.OK:
        length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise DownloadError("the answer does not say how long it is", where=where, remedy="ask the operator")
        return int(length)
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != n_there:
        raise DownloadError("the answer is another range", where=where, remedy="download it again")
    return int(found[3])
