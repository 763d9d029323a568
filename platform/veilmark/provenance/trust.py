"""The trust root: which public keys a verifier believes. Pinned by its user, never taken from a bundle."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from veilmark.provenance.atomic import write_atomically
from veilmark.provenance.envelope import Signer, decode_base64, key_id_of
from veilmark.provenance.errors import FileError, FormatError
from veilmark.provenance.strict_json import check_keys, parse_object, readable_json, take, take_list

SCHEMA = "veilmark/trust-root/1"
ALGORITHM = "ed25519"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TrustedKey:
    """`public_key`: 32 raw bytes; `created_at`: UTC, ISO 8601."""

    public_key: bytes
    created_at: str

    @property
    def key_id(self) -> str:
        """Derived, so that a file cannot give one key another's name."""
        return key_id_of(self.public_key)


@dataclass(frozen=True, kw_only=True)
class TrustRoot:
    """Read from and written to `trust-root.json`."""

    keys: Sequence[TrustedKey]

    @property
    def by_id(self) -> Mapping[str, bytes]:
        """Key id to raw public key."""
        return {key.key_id: key.public_key for key in self.keys}

    @classmethod
    def of(cls, signer: Signer, *, created_at: str) -> TrustRoot:
        """A root that trusts one signer."""
        return cls(keys=(TrustedKey(public_key=signer.public_key_bytes, created_at=created_at),))

    @classmethod
    def read(cls, path: Path) -> TrustRoot:
        """Raises FileError and FormatError."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise FileError(f"cannot be read ({error.strerror})", where=str(path)) from error
        body = parse_object(data, where=str(path), max_bytes=_MAX_BYTES)
        check_keys(body, ("schema", "keys"), where=str(path))
        if body["schema"] != SCHEMA:
            raise FormatError(f"schema is not {SCHEMA}", where=str(path))
        keys = [_parse_key(key, str(path)) for key in take_list(body, "keys", dict, where=str(path))]
        if not keys:
            raise FormatError("holds no key", where=str(path))
        return cls(keys=keys)

    def write(self, path: Path) -> None:
        """Raises FileError."""
        keys = [
            {
                "key_id": key.key_id,
                "algorithm": ALGORITHM,
                "public_key": base64.b64encode(key.public_key).decode(),
                "created_at": key.created_at,
            }
            for key in self.keys
        ]
        write_atomically(path, readable_json({"schema": SCHEMA, "keys": keys}))


def _parse_key(value: dict[str, object], where: str) -> TrustedKey:
    check_keys(value, ("key_id", "algorithm", "public_key", "created_at"), where=where)
    if value["algorithm"] != ALGORITHM:
        raise FormatError(f"algorithm is not {ALGORITHM}", where=where)
    public_key = decode_base64(take(value, "public_key", str, where=where), where=where)
    key = TrustedKey(public_key=public_key, created_at=take(value, "created_at", str, where=where))
    if len(public_key) != 32 or key.key_id != value["key_id"]:
        raise FormatError("a key and its key_id do not belong together", where=where)
    return key
