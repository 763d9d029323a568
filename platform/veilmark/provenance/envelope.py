"""DSSE envelopes (secure-systems-lab/dsse v1.0) around in-toto statements (v1), signed with Ed25519.

The algorithm is ours to choose and is never read from a message; the key id only looks a key up in the trust root.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from veilmark.provenance.digests import check_digest, digest_of
from veilmark.provenance.errors import FormatError, SignatureError, UnknownKeyError
from veilmark.provenance.strict_json import canonical_json, check_keys, parse_object, readable_json, take, take_list

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class Signer(Protocol):
    """A private Ed25519 key, wherever it lies."""

    @property
    def key_id(self) -> str:
        """`key_id_of` its public key."""

    @property
    def public_key_bytes(self) -> bytes:
        """The 32 raw bytes."""

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of the signature."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A claim (`predicate` of `predicate_type`) about files: `subjects` maps names to digests."""

    subjects: Mapping[str, str]
    predicate_type: str
    predicate: Mapping[str, object]

    def payload(self) -> bytes:
        """The bytes to sign."""
        subjects = [
            {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
            for name, digest in sorted(self.subjects.items())
        ]
        return canonical_json(
            {
                "_type": STATEMENT_TYPE,
                "subject": subjects,
                "predicateType": self.predicate_type,
                "predicate": dict(self.predicate),
            }
        )


def key_id_of(public_key: bytes) -> str:
    """A key's id: the digest of its raw bytes, so that it cannot be claimed for another key."""
    return digest_of(public_key)


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding: what is signed, so that type and payload cannot be mixed up."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign_statement(statement: Statement, signer: Signer) -> bytes:
    """An envelope as a JSON file."""
    payload = statement.payload()
    signature = signer.sign(pae(PAYLOAD_TYPE, payload))
    return readable_json(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": signer.key_id, "sig": base64.b64encode(signature).decode()}],
        }
    )


def envelope_signature(envelope: bytes, *, where: str) -> str:
    """The base64 text of an envelope's one signature, unverified."""
    return _signature(parse_object(envelope, where=where), where)[1]


def verify_envelope(envelope: bytes, trusted_keys: Mapping[str, bytes], *, where: str) -> Statement:
    """The statement in an envelope signed by a trusted key. `trusted_keys`: key id to raw Ed25519 public key.

    Raises FormatError, UnknownKeyError (no such key is trusted) or SignatureError (the signature does not fit).
    """
    body = parse_object(envelope, where=where)
    check_keys(body, ("payloadType", "payload", "signatures"), where=where)
    if body["payloadType"] != PAYLOAD_TYPE:
        raise FormatError("the payload is no in-toto statement", where=where)
    payload = decode_base64(take(body, "payload", str, where=where), where=where)
    key_id, signature = _signature(body, where)
    if key_id not in trusted_keys:
        raise UnknownKeyError(f"signed by the unknown key {key_id[:80]!r}", where=where)
    try:
        Ed25519PublicKey.from_public_bytes(trusted_keys[key_id]).verify(
            decode_base64(signature, where=where), pae(PAYLOAD_TYPE, payload)
        )
    except InvalidSignature as error:
        raise SignatureError("the signature does not verify", where=where) from error
    return _parse_statement(payload, where)


def decode_base64(text: str, *, where: str) -> bytes:
    """Strict base64: one text for the bytes it stands for. Raises FormatError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("not valid base64", where=where) from error
    if base64.b64encode(data).decode() != text:
        raise FormatError("base64 that is not canonical", where=where)
    return data


def _signature(body: Mapping[str, object], where: str) -> tuple[str, str]:
    signatures: Sequence[dict[str, object]] = take_list(body, "signatures", dict, where=where)
    if len(signatures) != 1:
        raise FormatError(f"{len(signatures)} signatures where one belongs", where=where)
    check_keys(signatures[0], ("keyid", "sig"), where=where)
    return take(signatures[0], "keyid", str, where=where), take(signatures[0], "sig", str, where=where)


def _parse_statement(payload: bytes, where: str) -> Statement:
    body = parse_object(payload, where=where)
    check_keys(body, ("_type", "subject", "predicateType", "predicate"), where=where)
    if body["_type"] != STATEMENT_TYPE:
        raise FormatError("not an in-toto statement of version 1", where=where)
    subjects: dict[str, str] = {}
    for subject in take_list(body, "subject", dict, where=where):
        digest = take(subject, "digest", dict, where=where)
        text = f"sha256:{take(digest, 'sha256', str, where=where)}"
        subjects[take(subject, "name", str, where=where)] = check_digest(text, where=where)
    return Statement(
        subjects=subjects,
        predicate_type=take(body, "predicateType", str, where=where),
        predicate=take(body, "predicate", dict, where=where),
    )
