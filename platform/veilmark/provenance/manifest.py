"""`manifest.json`: every file of a bundle with its digest, every image with its content digest, mark and signature.

The parser refuses whatever it does not know, so that a manifest means the same to every reader.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from veilmark.provenance.digests import check_digest, check_name
from veilmark.provenance.envelope import decode_base64
from veilmark.provenance.errors import FormatError
from veilmark.provenance.files import MAX_FILE_BYTES
from veilmark.provenance.strict_json import check_keys, parse_object, readable_json, take, take_list
from veilmark.provenance.watermark import MarkId

SCHEMA = "veilmark/manifest/1"
MAX_IMAGES = 1_000_000
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MAX_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """`path` below the bundle's folder, with "/"; `size` in bytes."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True, kw_only=True)
class ImageEntry:
    """One image: its files (PNG, and DICOM where written) share content digest and mark.

    `mark_id` has 16 or 32 hexadecimal digits, or is "" for an image that cannot hold a mark; `signature` is that of its
    envelope, base64.
    """

    image_id: str
    content_digest: str
    mark_id: str
    signature: str
    files: Sequence[FileEntry]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`images` in the order of the Merkle tree's leaves; `files` are all others but the manifest's own signature."""

    release_id: str
    mark_release: int
    created_at: str
    merkle_root: str
    images: Sequence[ImageEntry]
    files: Sequence[FileEntry]

    def all_files(self) -> Iterator[FileEntry]:
        """Files of images, then all others."""
        for image in self.images:
            yield from image.files
        yield from self.files

    def to_bytes(self) -> bytes:
        """The file."""
        return readable_json(
            {
                "schema": SCHEMA,
                "release_id": self.release_id,
                "mark_release": self.mark_release,
                "created_at": self.created_at,
                "merkle_root": self.merkle_root,
                "images": [
                    {
                        "image_id": image.image_id,
                        "content_digest": image.content_digest,
                        "mark_id": image.mark_id,
                        "signature": image.signature,
                        "files": [vars(entry) for entry in image.files],
                    }
                    for image in self.images
                ],
                "files": [vars(entry) for entry in self.files],
            }
        )


def parse_manifest(data: bytes, *, where: str) -> Manifest:
    """Raises FormatError for anything but a manifest of this schema."""
    body = parse_object(data, where=where)
    if body.get("schema") != SCHEMA:
        raise FormatError(f"schema is not {SCHEMA}", where=where)
    names = ("schema", "release_id", "mark_release", "created_at", "merkle_root", "images", "files")
    check_keys(body, names, where=where)
    images = take_list(body, "images", dict, where=where)
    if len(images) > MAX_IMAGES:
        raise FormatError(f"more than {MAX_IMAGES} images", where=where)
    manifest = Manifest(
        release_id=check_name(take(body, "release_id", str, where=where), where=where),
        mark_release=take(body, "mark_release", int, where=where),
        created_at=check_time(take(body, "created_at", str, where=where), where=where),
        merkle_root=check_digest(take(body, "merkle_root", str, where=where), where=where),
        images=[_parse_image(image, where) for image in images],
        files=[_parse_file(entry, where) for entry in take_list(body, "files", dict, where=where)],
    )
    _refuse_repeats([entry.path.lower() for entry in manifest.all_files()], "path", where)
    _refuse_repeats([image.image_id for image in manifest.images], "image_id", where)
    _refuse_repeats([image.mark_id for image in manifest.images if image.mark_id], "mark_id", where)
    return manifest


def check_path(path: str, *, where: str) -> str:
    """A relative path of plain names, so that joining it to a folder can never leave the folder."""
    parts = path.split("/")
    if len(path) > 400 or len(parts) > MAX_DEPTH or not all(_PART.fullmatch(part) for part in parts):
        raise FormatError(f"{path[:80]!r} is not a plain relative path", where=where)
    return str(PurePosixPath(path))


def check_time(text: str, *, where: str) -> str:
    """UTC to the second, as 2026-11-21T09:30:00Z."""
    what = f"{text[:40]!r} is not a UTC time such as 2026-11-21T09:30:00Z"
    if not _TIME.fullmatch(text):
        raise FormatError(what, where=where)
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise FormatError(what, where=where) from error
    return text


def _parse_image(value: dict[str, object], where: str) -> ImageEntry:
    check_keys(value, ("image_id", "content_digest", "mark_id", "signature", "files"), where=where)
    mark_id = take(value, "mark_id", str, where=where)
    signature = take(value, "signature", str, where=where)
    decode_base64(signature, where=where)
    return ImageEntry(
        image_id=check_name(take(value, "image_id", str, where=where), where=where),
        content_digest=check_digest(take(value, "content_digest", str, where=where), where=where),
        mark_id=MarkId.from_hex(mark_id).hex if mark_id else "",
        signature=signature,
        files=[_parse_file(entry, where) for entry in take_list(value, "files", dict, where=where)],
    )


def _parse_file(value: dict[str, object], where: str) -> FileEntry:
    check_keys(value, ("path", "digest", "size"), where=where)
    size = take(value, "size", int, where=where)
    if not 0 <= size <= MAX_FILE_BYTES:
        raise FormatError(f"a file of {size} bytes, when {MAX_FILE_BYTES} are allowed", where=where)
    return FileEntry(
        path=check_path(take(value, "path", str, where=where), where=where),
        digest=check_digest(take(value, "digest", str, where=where), where=where),
        size=size,
    )


def _refuse_repeats(values: Sequence[str], name: str, where: str) -> None:
    repeated, count = max(Counter(values).items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        raise FormatError(f"{name} {repeated!r} appears twice", where=where)
