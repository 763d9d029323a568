"""Codes that stand for identifiers (45 CFR 164.514(c)).

Under Safe Harbor a code may not be derived from the identifier: `RandomCodes`. A keyed hash, `keyed_codes`, joins
later uploads of the same person to earlier ones, is derived from the identifier, and so asks for an expert's
determination and for a key that nobody outside the site ever holds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from veilmark.dicom.base import Codes, DicomError

_CODE_BYTES = 16
_KEY_BYTES = 32


def keyed_codes(key: bytes) -> Codes:
    """Codes by HMAC-SHA256 under `key` (32 bytes or more), 32 hex digits. Raises DicomError for a short key."""
    if len(key) < _KEY_BYTES:
        raise DicomError(f"has {len(key)} bytes", where="key of the codes", remedy=f"use at least {_KEY_BYTES}")

    def code(kind: str, identifier: str) -> str:
        message = f"{kind}\0{identifier}".encode()
        return hmac.new(key, message, hashlib.sha256).digest()[:_CODE_BYTES].hex()

    return code


class RandomCodes:
    """Random codes of 32 hex digits, the same for equal identifiers as long as this object lives."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], str] = {}

    def __call__(self, kind: str, identifier: str) -> str:
        return self._codes.setdefault((kind, identifier), secrets.token_hex(_CODE_BYTES))
