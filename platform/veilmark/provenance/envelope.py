"""DSSE envelopes (secure-systems-lab/dsse v1.0) around in-toto statements (v1), with every signature they must have.

securesystemslib gives the pre-authentication encoding and the file's form. Parsing stays here, as its `from_dict`
takes repeated fields, unknown ones and base64 of two spellings; so does verifying, as its `verify` passes over a
signature that fails once enough others fit, and its ML-DSA keys sign a digest of their own making (TAP 21), which no
other reader of DSSE expects. Which algorithms must sign is fixed by the kind of statement that the caller asks for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signature

from veilmark.crypto.base import Algorithm
from veilmark.crypto.signatures import is_signed
from veilmark.provenance.digests import check_digest
from veilmark.provenance.errors import (
    DowngradeError,
    FormatError,
    RevokedKeyError,
    SignatureError,
    UnknownKeyError,
)
from veilmark.provenance.identity import Identity, SigningIdentity
from veilmark.provenance.predicates import required_algorithms
from veilmark.provenance.strict_json import canonical_json, check_keys, parse_object, readable_json, take, take_list

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


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


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding: what is signed, so that type and payload cannot be mixed up."""
    return Envelope(payload, payload_type, {}).pae()


def sign_statement(statement: Statement, signer: SigningIdentity) -> bytes:
    """An envelope as a JSON file, with the signatures that its kind of statement must have. Raises FormatError."""
    envelope = Envelope(statement.payload(), PAYLOAD_TYPE, {})
    signed = envelope.pae()
    for algorithm in required_algorithms(statement.predicate_type):
        key = signer.signers[algorithm]
        envelope.signatures[key.key_id] = Signature(key.key_id, key.sign(signed).hex())
    return readable_json(envelope.to_dict())


def envelope_signature(envelope: bytes, *, where: str) -> str:
    """The base64 text of the signature of an envelope that has one, unverified. Raises FormatError."""
    signatures = list(_signatures(parse_object(envelope, where=where), where).values())
    if len(signatures) != 1:
        raise FormatError(f"{len(signatures)} signatures where one belongs", where=where)
    return base64.b64encode(signatures[0]).decode()


def verify_envelope(envelope: bytes, identities: Collection[Identity], *, predicate_type: str, where: str) -> Statement:
    """The statement of that kind in an envelope that one trusted identity signed with every key it must sign with.

    Raises FormatError, UnknownKeyError (no such key is trusted), RevokedKeyError, DowngradeError (a signature that must
    be there is not) or SignatureError (a signature does not fit).
    """
    body = parse_object(envelope, where=where)
    check_keys(body, ("payloadType", "payload", "signatures"), where=where)
    if body["payloadType"] != PAYLOAD_TYPE:
        raise FormatError("the payload is no in-toto statement", where=where)
    payload = decode_base64(take(body, "payload", str, where=where), where=where)
    signatures = _signatures(body, where)
    required = required_algorithms(predicate_type)
    signer = _signer_of(signatures, identities, required, where)
    _require_signed(pae(PAYLOAD_TYPE, payload), signatures, signer, required, where)
    statement = _parse_statement(payload, where)
    if statement.predicate_type != predicate_type:
        raise FormatError(f"is no statement of the kind {predicate_type}", where=where)
    return statement


def decode_base64(text: str, *, where: str) -> bytes:
    """Strict base64: one text for the bytes it stands for. Raises FormatError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("not valid base64", where=where) from error
    if base64.b64encode(data).decode() != text:
        raise FormatError("base64 that is not canonical", where=where)
    return data


def _signatures(body: Mapping[str, object], where: str) -> dict[str, bytes]:
    """Key id to signature."""
    signatures: dict[str, bytes] = {}
    for row in take_list(body, "signatures", dict, where=where):
        check_keys(row, ("keyid", "sig"), where=where)
        key_id = take(row, "keyid", str, where=where)
        if key_id in signatures:
            raise FormatError("two signatures by one key", where=where)
        signatures[key_id] = decode_base64(take(row, "sig", str, where=where), where=where)
    if not signatures:
        raise FormatError("is not signed", where=where)
    return signatures


def _signer_of(
    signatures: Collection[str], identities: Collection[Identity], required: tuple[Algorithm, ...], where: str
) -> Identity:
    for identity in identities:
        if any(identity.key_ids[algorithm] in signatures for algorithm in required):
            if identity.revoked_at:
                raise RevokedKeyError(f"signed by a key that was revoked at {identity.revoked_at}", where=where)
            return identity
    raise UnknownKeyError(f"signed by the unknown key {next(iter(signatures))[:80]!r}", where=where)


def _require_signed(
    signed: bytes, signatures: Mapping[str, bytes], signer: Identity, required: tuple[Algorithm, ...], where: str
) -> None:
    for algorithm in required:
        signature = signatures.get(signer.key_ids[algorithm])
        if signature is None:
            raise DowngradeError(f"downgraded: the signer's {algorithm} signature is missing", where=where)
        if not is_signed(signed, signature, public_key=signer.keys[algorithm], algorithm=algorithm):
            raise SignatureError(f"the {algorithm} signature does not verify", where=where)
    if len(signatures) != len(required):
        raise FormatError(f"{len(signatures)} signatures where {len(required)} belong", where=where)


def _parse_statement(payload: bytes, where: str) -> Statement:
    body = parse_object(payload, where=where)
    check_keys(body, ("_type", "subject", "predicateType", "predicate"), where=where)
    if body["_type"] != STATEMENT_TYPE:
        raise FormatError("not an in-toto statement of version 1", where=where)
    subjects: dict[str, str] = {}
    for subject in take_list(body, "subject", dict, where=where):
        check_keys(subject, ("name", "digest"), where=where)
        digest = take(subject, "digest", dict, where=where)
        check_keys(digest, ("sha256",), where=where)
        name, text = take(subject, "name", str, where=where), f"sha256:{take(digest, 'sha256', str, where=where)}"
        if name in subjects:
            raise FormatError("names a subject twice", where=where)
        subjects[name] = check_digest(text, where=where)
    return Statement(
        subjects=subjects,
        predicate_type=take(body, "predicateType", str, where=where),
        predicate=take(body, "predicate", dict, where=where),
    )
