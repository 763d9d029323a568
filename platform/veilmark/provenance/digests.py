"""Digests (`sha256:<hex>`) of bytes, and of an image's content apart from its file.

Embedded signatures change a file's bytes but must not change what was audited and endorsed. So the content digest
covers the stored pixel values and the canonical metadata only: a PNG and a DICOM file of one image share it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.errors import FormatError
from veilmark.provenance.strict_json import canonical_json, check_keys, take

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MAX_VALUE = 200


@dataclass(frozen=True, kw_only=True)
class ImageMetadata:
    """The canonical metadata of one synthetic image. Empty string: not conditioned on.

    `release_id` and `image_id` become file names: letters, digits, "_" and "-", at most 64.
    """

    release_id: str
    image_id: str
    label: str = ""
    sex: str = ""
    age_group: str = ""

    def __post_init__(self) -> None:
        for name in ("release_id", "image_id"):
            check_name(getattr(self, name), where=name)
        for name in ("label", "sex", "age_group"):
            value = getattr(self, name)
            if len(value) > _MAX_VALUE or not value.isprintable():
                raise FormatError(f"{name} is longer than {_MAX_VALUE} or not printable", where=self.image_id)

    def to_json(self) -> dict[str, str]:
        """The five fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, object], *, where: str) -> ImageMetadata:
        """The inverse of `to_json`. Raises FormatError."""
        names = ("release_id", "image_id", "label", "sex", "age_group")
        check_keys(value, names, where=where)
        return cls(**{name: take(value, name, str, where=where) for name in names})


def check_name(name: str, *, where: str) -> str:
    """Refuse what is no plain file name: letters, digits, "_" and "-", at most 64."""
    if not _NAME.fullmatch(name):
        raise FormatError(f"{name[:80]!r} is not a plain name of letters, digits, '_' and '-'", where=where)
    return name


def check_digest(text: str, *, where: str) -> str:
    """Refuse what is not `sha256:` and 64 lower-case hexadecimal digits."""
    if not _DIGEST.fullmatch(text):
        raise FormatError(f"{text[:80]!r} is not sha256:<64 hex digits>", where=where)
    return text


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_bytes(digest: str) -> bytes:
    """The 32 bytes of a digest."""
    return bytes.fromhex(check_digest(digest, where="digest").removeprefix("sha256:"))


def content_digest(pixels: NDArray[np.generic], metadata: ImageMetadata) -> str:
    """Digest over shape, type, stored pixel values (little endian, rows first) and canonical metadata."""
    header = canonical_json(
        {
            "schema": "veilmark/content/1",
            "dtype": pixels.dtype.name,
            "shape": list(pixels.shape),
            "metadata": metadata.to_json(),
        }
    )
    hasher = hashlib.sha256(len(header).to_bytes(8, "big") + header)
    hasher.update(np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes())
    return f"sha256:{hasher.hexdigest()}"
