"""Time stamps (RFC 3161): an authority that is not the publisher says when a signed file was there at the latest.

A stamp is a signed message of its own over the file's SHA-256, so that it needs no place in the manifest. It outlives
its authority's certificate, which must have been valid at the time that it states.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from veilmark.provenance.atomic import write_atomically
from veilmark.provenance.digests import digest_bytes, digest_of
from veilmark.provenance.errors import FileError, StampError
from veilmark.provenance.layout import RELEASE_ENVELOPE, STAMP_NAME
from veilmark.provenance.reading import read_file
from veilmark.provenance.source import open_bundle

_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
MAX_STAMP_BYTES = 1 << 18


class StampAuthority(Protocol):
    """Whoever stamps: a server, a device."""

    def reply(self, request: bytes) -> bytes:
        """A TimeStampResp for a TimeStampReq, both DER (RFC 3161, 2.4). Raises StampError."""


@dataclass(frozen=True, kw_only=True)
class ProvenTime:
    """`at`: UTC; `authority`: the name in the certificate that signed."""

    at: datetime
    authority: str

    @property
    def text(self) -> str:
        """As 2026-11-21T09:30:00Z."""
        return self.at.strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(data: bytes, authority: StampAuthority, *, roots: Sequence[bytes]) -> bytes:
    """A stamp over `data`, verified with its nonce: an authority cannot answer with an older one. Raises StampError."""
    request = TimestampRequestBuilder(data=data, hash_algorithm=HashAlgorithm.SHA256).build()
    response = authority.reply(request.as_bytes())
    verify_stamp(response, data, roots=roots, where="time stamp", nonce=request.nonce)
    return response


def verify_stamp(
    response: bytes, data: bytes, *, roots: Sequence[bytes], where: str, nonce: int | None = None
) -> ProvenTime:
    """When `data` was there, as a TimeStampResp under one of the pinned `roots` (certificates, DER) says.

    Raises StampError: no stamp, of other data, by nobody pinned, by a certificate that is not for stamping alone or was
    not valid at that time.
    """
    if not roots:
        remedy = "get a trust root that names the publisher's stamping authority"
        raise StampError("is by no authority that the trust root names", where=where, remedy=remedy)
    with _refusals(where):
        answer = _decode(response, where)
        certificate = _signing_certificate(answer, where)
        pinned = [x509.load_der_x509_certificate(root) for root in roots]
        verifier = VerifierBuilder(roots=pinned, nonce=nonce).build()
        verifier.verify(answer, digest_bytes(digest_of(data)))
        return ProvenTime(at=answer.tst_info.gen_time.astimezone(UTC), authority=certificate.subject.rfc4514_string())


def stamp_release(folder: Path, authority: StampAuthority, *, roots: Sequence[bytes]) -> None:
    """Put a stamp over the release's envelope into a bundle. Raises StampError and FileError."""
    with open_bundle(folder) as source:
        envelope = source.read(RELEASE_ENVELOPE)
    (folder / STAMP_NAME).parent.mkdir(exist_ok=True)
    write_atomically(folder / STAMP_NAME, stamp(envelope, authority, roots=roots))


def read_roots(path: Path) -> list[bytes]:
    """The certificates of a PEM file, DER. Raises FileError."""
    try:
        certificates = x509.load_pem_x509_certificates(read_file(path))
    except ValueError as error:
        raise FileError("holds no certificate in PEM", where=str(path)) from error
    return [certificate.public_bytes(Encoding.DER) for certificate in certificates]


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """What the parsers below raise for bytes of strangers, and what they only warn of, as StampError."""
    try:
        with warnings.catch_warnings(action="error", category=CryptographyDeprecationWarning):
            yield
    except (VerificationError, ValueError, LookupError, x509.InvalidVersion, CryptographyDeprecationWarning) as error:
        reason = " ".join(str(error).split()).rpartition("Verify error:")[2].partition('"')[0][:120]
        raise StampError(f"does not verify ({reason})", where=where) from error


def _decode(response: bytes, where: str) -> TimeStampResponse:
    if len(response) > MAX_STAMP_BYTES:
        raise StampError(f"is larger than {MAX_STAMP_BYTES} bytes", where=where)
    answer = decode_timestamp_response(response)
    if answer.as_bytes() != response:
        raise StampError("has bytes after its end, or is no DER", where=where)
    if answer.status != PKIStatus.GRANTED:  # anything else carries no stamp to read
        reason = " ".join("; ".join(answer.status_string).split())[:120]
        raise StampError(f"was refused by its authority (status {answer.status} {reason})", where=where)
    if answer.tst_info.message_imprint.hash_algorithm != _SHA256:
        raise StampError("is not over a SHA-256 digest", where=where)
    return answer


def _signing_certificate(answer: TimeStampResponse, where: str) -> x509.Certificate:
    """The one that its signer names. Two of one issuer and serial number could be checked in each other's place."""
    signers = list(answer.signed_data.signer_infos)
    if len(signers) != 1:
        raise StampError(f"has {len(signers)} signatures where one belongs", where=where)
    names = (signers[0].issuer, signers[0].serial_number)
    embedded = [x509.load_der_x509_certificate(der) for der in answer.signed_data.certificates]
    found = [certificate for certificate in embedded if (certificate.issuer, certificate.serial_number) == names]
    if len(found) != 1:
        raise StampError(f"holds {len(found)} certificates of its signer where one belongs", where=where)
    return found[0]
