"""What is logged: one entry an image, in canonical JSON. An entry names no person and no recipient."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from veilmark.provenance.digests import check_digest
from veilmark.provenance.errors import FormatError
from veilmark.provenance.manifest import ImageEntry
from veilmark.provenance.strict_json import canonical_json

SCHEMA = "veilmark/log-entry/1"
MAX_ENTRY_BYTES = 0xFFFF
_LENGTH = struct.Struct(">H")


def image_entries(images: Iterable[ImageEntry], *, release_id: str) -> list[bytes]:
    """The entries of a release's images, in their order."""
    return [
        _entry(kind="image", release_id=release_id, image_id=image.image_id, content_digest=image.content_digest)
        for image in images
    ]


def statement_entry(*, release_id: str, digest: str) -> bytes:
    """The entry of a signed statement about a release, such as a recall: the digest of its envelope."""
    return _entry(kind="statement", release_id=release_id, digest=check_digest(digest, where="digest"))


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry after its length, big endian in two bytes. Raises FormatError."""
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise FormatError(f"an entry is larger than {MAX_ENTRY_BYTES} bytes", where="log")
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def unpack_entries(data: bytes, *, where: str) -> list[bytes]:
    """The inverse of `pack_entries`. Raises FormatError."""
    entries, at = [], 0
    while at < len(data):
        start = at + _LENGTH.size
        if start > len(data):
            raise FormatError("ends within an entry", where=where)
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise FormatError("ends within an entry", where=where)
        entries.append(data[start:at])
    return entries


def _entry(**fields: str) -> bytes:
    return canonical_json({"schema": SCHEMA, **fields})
