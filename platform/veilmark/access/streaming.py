"""Sending a bundle, whole or one range of it (RFC 9110, section 14), without holding it in memory.

A range of another unit than bytes is ignored, as the RFC says. One that is malformed, lists several parts or lies
outside the file is refused with 416: every request is evaluated and recorded, so a reader shall ask for what it means.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from veilmark.access.models import Grant
from veilmark.access.selectors import copy_zip, ready_copy
from veilmark.access.services import Delivery, download_open
from veilmark.accounts.models import User
from veilmark.core.errors import ApplicationError

CHUNK = 256 * 1024
MAX_DIGITS = 18
CONTENT_TYPE = "application/zip"
_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.ASCII | re.IGNORECASE)


class RangeError(ApplicationError):
    """A range that cannot be sent of a file of `n_total` bytes."""

    status = 416

    def __init__(self, what: str, *, n_total: int, remedy: str) -> None:
        super().__init__(what, where="Range", remedy=remedy)
        self.n_total = n_total


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """First and last byte, both inside the file, both sent."""

    first: int
    last: int


def parse_range(header: str, n_total: int) -> ByteRange | None:
    """The bytes that a Range header asks for in a file of `n_total`; None for the whole file.

    Raises RangeError for what is malformed, has several parts, or holds no byte of the file.
    """
    if not re.match(r"[ \t]*bytes[ \t]*=", header, re.IGNORECASE):
        return None
    found = _RANGE.fullmatch(header.strip(" \t"))
    shown, remedy = repr(header[:60]), "ask for bytes=a-b, a <= b, bytes=a- or bytes=-n"
    if found is None or not any(found.groups()) or any(len(part) > MAX_DIGITS for part in found.groups()):
        raise RangeError(f"{shown} is not one range", n_total=n_total, remedy=remedy)
    first, last = found.groups()
    if first and last and int(last) < int(first):
        raise RangeError(f"{shown} ends before it begins", n_total=n_total, remedy=remedy)
    if first:
        wanted = ByteRange(first=int(first), last=min(int(last or n_total), n_total - 1))
    else:
        wanted = ByteRange(first=max(0, n_total - int(last)), last=n_total - 1)
    if wanted.first > wanted.last:
        raise RangeError(f"{shown} is outside", n_total=n_total, remedy=f"the file has {n_total} bytes")
    return wanted


def etag_of(digest: str) -> str:
    """A strong entity tag: one digest, one sequence of bytes."""
    return f'"{digest}"'


def download_response(*, grant: Grant, request: HttpRequest, acting_user: User) -> HttpResponseBase:
    """Answer a GET or HEAD for the zip of a grant. Raises NotAllowedError, StateError, RangeError."""
    copy = ready_copy(grant, acting_user)
    n_total, etag = copy_zip(copy).stat().st_size, etag_of(copy.bundle_digest)
    if request.method == "HEAD":
        return _with_headers(HttpResponse(content_type=CONTENT_TYPE), grant, etag, n_bytes=n_total)
    header = request.headers.get("Range", "")
    # Another tag (or a date, which is never strong) means that another file was begun: it gets this one whole.
    if request.headers.get("If-Range", etag) != etag:
        header = ""
    wanted = parse_range(header, n_total)
    delivery = download_open(
        grant=grant,
        first_byte=wanted.first if wanted else 0,
        last_byte=wanted.last if wanted else None,
        acting_user=acting_user,
    )
    n_bytes = delivery.last_byte - delivery.first_byte + 1
    chunks = _awaited(_chunks(delivery)) if isinstance(request, ASGIRequest) else _chunks(delivery)
    response = StreamingHttpResponse(chunks, content_type=CONTENT_TYPE, status=206 if wanted else 200)
    if wanted:
        response["Content-Range"] = f"bytes {delivery.first_byte}-{delivery.last_byte}/{delivery.n_total}"
    return _with_headers(response, grant, etag_of(delivery.digest), n_bytes=n_bytes)


def _with_headers(response: HttpResponseBase, grant: Grant, etag: str, *, n_bytes: int) -> HttpResponseBase:
    response["Content-Length"] = str(n_bytes)
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    response["Content-Disposition"] = f'attachment; filename="{grant.request.release.name}.zip"'
    response["Cache-Control"] = "private, no-store"
    return response


def _chunks(delivery: Delivery) -> Iterator[bytes]:
    left = delivery.last_byte - delivery.first_byte + 1
    with delivery.path.open("rb") as stream:
        stream.seek(delivery.first_byte)
        while left > 0 and (chunk := stream.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


async def _awaited(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks under ASGI, where a plain iterator would be gathered into memory before the first byte leaves."""
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk
