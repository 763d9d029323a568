"""The trust root: whom a verifier believes. Pinned by its user, never taken from a bundle."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from veilmark.crypto.base import Algorithm, CryptoError
from veilmark.crypto.chains import load_certificate
from veilmark.crypto.signatures import PUBLIC_KEY_BYTES, key_id_of
from veilmark.provenance.atomic import write_atomically
from veilmark.provenance.envelope import decode_base64
from veilmark.provenance.errors import FormatError
from veilmark.provenance.identity import Identity, SigningIdentity
from veilmark.provenance.manifest import check_time
from veilmark.provenance.reading import read_file
from veilmark.provenance.strict_json import check_keys, parse_object, readable_json, take, take_list

SCHEMA = "veilmark/trust-root/3"
_SECOND_SCHEMA = "veilmark/trust-root/2"  # without certificates: what is signed inside a file cannot be checked by it
_FIRST_SCHEMA = "veilmark/trust-root/1"
_FIELDS = ("schema", "identities", "timestamp_roots", "certificate_roots")
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TrustRoot:
    """Read from and written to `trust-root.json`. Certificates in DER: `timestamp_roots` of stamping authorities,
    `certificate_roots` of the site, for what is signed inside its files."""

    identities: Sequence[Identity]
    timestamp_roots: Sequence[bytes] = ()
    certificate_roots: Sequence[bytes] = ()

    @classmethod
    def of(
        cls,
        signer: SigningIdentity,
        *,
        created_at: str,
        timestamp_roots: Sequence[bytes] = (),
        certificate_roots: Sequence[bytes] = (),
    ) -> TrustRoot:
        """A root that trusts one signer."""
        return cls(
            identities=(signer.public(created_at=created_at),),
            timestamp_roots=tuple(timestamp_roots),
            certificate_roots=tuple(certificate_roots),
        )

    def revoke(self, identity_id: str, *, revoked_at: str) -> TrustRoot:
        """The same root without belief in one identity. Raises FormatError where it names none such, or revoked it."""
        found = [identity for identity in self.identities if identity.id == identity_id]
        if not found or found[0].revoked_at:
            what = "is revoked already" if found else "is not in the trust root"
            raise FormatError(what, where=f"identity {identity_id[:80]}", remedy="give the id of one that is believed")
        revoked = replace(found[0], revoked_at=revoked_at)
        return replace(self, identities=tuple(revoked if row is found[0] else row for row in self.identities))

    @classmethod
    def read(cls, path: Path) -> TrustRoot:
        """Raises FileError and FormatError."""
        return cls.parse(read_file(path), where=str(path))

    @classmethod
    def parse(cls, data: bytes, *, where: str) -> TrustRoot:
        """Raises FormatError, for a root of the first schema too: it names no second key to ask for."""
        body = parse_object(data, where=where, max_bytes=_MAX_BYTES)
        if body.get("schema") == _FIRST_SCHEMA:
            remedy = "get the publisher's new trust-root.json"
            raise FormatError("names Ed25519 keys alone, and releases are signed by two", where=where, remedy=remedy)
        is_second = body.get("schema") == _SECOND_SCHEMA
        check_keys(body, _FIELDS[:3] if is_second else _FIELDS, where=where)
        if body["schema"] not in {SCHEMA, _SECOND_SCHEMA}:
            raise FormatError(f"schema is not {SCHEMA}", where=where)
        identities = tuple(_parse_identity(row, where) for row in take_list(body, "identities", dict, where=where))
        if not identities:
            raise FormatError("holds no identity", where=where)
        key_ids = [key_id for identity in identities for key_id in identity.key_ids.values()]
        if len(set(key_ids)) != len(key_ids):
            raise FormatError("names one key twice", where=where)
        return cls(
            identities=identities,
            timestamp_roots=_parse_certificates(body, "timestamp_roots", where),
            certificate_roots=() if is_second else _parse_site_roots(body, where),
        )

    def to_bytes(self) -> bytes:
        """The file."""
        return readable_json(
            {
                "schema": SCHEMA,
                "identities": [_identity_json(identity) for identity in self.identities],
                "timestamp_roots": [base64.b64encode(der).decode() for der in self.timestamp_roots],
                "certificate_roots": [base64.b64encode(der).decode() for der in self.certificate_roots],
            }
        )

    def write(self, path: Path) -> None:
        """Raises FileError."""
        write_atomically(path, self.to_bytes())


def _identity_json(identity: Identity) -> dict[str, object]:
    keys = [
        {"algorithm": algorithm, "key_id": key_id_of(key), "public_key": base64.b64encode(key).decode()}
        for algorithm, key in identity.keys.items()
    ]
    return {"created_at": identity.created_at, "revoked_at": identity.revoked_at, "keys": keys}


def _parse_certificates(body: dict[str, object], name: str, where: str) -> tuple[bytes, ...]:
    return tuple(decode_base64(text, where=where) for text in take_list(body, name, str, where=where))


def _parse_site_roots(body: dict[str, object], where: str) -> tuple[bytes, ...]:
    roots = _parse_certificates(body, "certificate_roots", where)
    try:
        for root in roots:
            load_certificate(root, where=where)
    except CryptoError as error:
        raise FormatError(f"a certificate root {error.what}", where=where) from error
    return roots


def _parse_identity(value: dict[str, object], where: str) -> Identity:
    check_keys(value, ("created_at", "revoked_at", "keys"), where=where)
    revoked_at = take(value, "revoked_at", str, where=where)
    rows = take_list(value, "keys", dict, where=where)
    if [row.get("algorithm") for row in rows] != list(Algorithm):
        raise FormatError(f"an identity has not the keys {', '.join(Algorithm)}, in this order", where=where)
    return Identity(
        keys={algorithm: _parse_key(row, algorithm, where) for algorithm, row in zip(Algorithm, rows, strict=True)},
        created_at=check_time(take(value, "created_at", str, where=where), where=where),
        revoked_at=revoked_at and check_time(revoked_at, where=where),
    )


def _parse_key(value: dict[str, object], algorithm: Algorithm, where: str) -> bytes:
    check_keys(value, ("algorithm", "key_id", "public_key"), where=where)
    key = decode_base64(take(value, "public_key", str, where=where), where=where)
    if len(key) != PUBLIC_KEY_BYTES[algorithm] or key_id_of(key) != value["key_id"]:
        raise FormatError("a key and its key_id do not belong together", where=where)
    return key
