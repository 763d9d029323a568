"""Fetching a publisher's transparency log from its address (c2sp.org/tlog-tiles), to be checked without network.

What was fetched once is never fetched again: had the publisher changed it, what is new would no longer fit to it. Every
checkpoint that was seen is kept beside the tiles, as a memory that the publisher cannot rewrite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import count, takewhile
from pathlib import Path

import httpx

from veilmark.client.errors import ClientError, RefusedError
from veilmark.provenance.atomic import write_atomically
from veilmark.provenance.identity import Identity
from veilmark.provenance.log.checkpoint import verify_checkpoint
from veilmark.provenance.log.notes import MAX_NOTE_BYTES
from veilmark.provenance.log.reader import EARLIER_NAME, HEAD_NAME, MAX_FILE_BYTES
from veilmark.provenance.log.tiles import entries_path, tile_path, widths

_TIMEOUT = httpx.Timeout(60, connect=10)


def copy_log(address: str, folder: Path, identities: Collection[Identity]) -> None:
    """Bring `folder` up to what the log at `address` signed last. The tiles are unverified: `check_log` decides.

    Raises ClientError (cannot be reached, refuses), ProvenanceError (a checkpoint that none of `identities` signed).
    """
    base = address.rstrip("/")
    try:
        # The files are signed: a redirect can lead to nothing worse than a refusal.
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as http:
            note = _fetch(http, f"{base}/{HEAD_NAME}", MAX_NOTE_BYTES)
            head = verify_checkpoint(note, identities, where=f"{base}/{HEAD_NAME}")
            for name in _files_of(head.size):
                if not (folder / name).exists():
                    content = _fetch(http, f"{base}/{name}", MAX_FILE_BYTES)
                    write_atomically(folder / name, content, durable=False)
    except (httpx.TransportError, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        remedy = "check the address and the network"
        raise ClientError(f"cannot be reached ({type(error).__name__})", where=address, remedy=remedy) from error
    earlier = folder / EARLIER_NAME / str(head.size)
    if not earlier.exists():
        write_atomically(earlier, note)
    write_atomically(folder / HEAD_NAME, note)


def _files_of(size: int) -> Iterator[str]:
    """Every file of a log of `size` entries."""
    levels = takewhile(lambda level: widths(size, level), count())
    for level in levels:
        for index, width in enumerate(widths(size, level)):
            if level == 0:
                yield entries_path(index, width)
            yield tile_path(level, index, width)


def _fetch(http: httpx.Client, address: str, max_bytes: int) -> bytes:
    content = b""
    with http.stream("GET", address) as response:
        if not response.is_success:
            response.read()
            raise RefusedError.of(response)
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > max_bytes:
                raise ClientError(f"is larger than {max_bytes} bytes", where=address, remedy="ask the publisher")
    return content
