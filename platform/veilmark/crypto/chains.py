"""Whether a certificate is a leaf that a pinned root issued for one purpose, and was valid.

A site's chains are one step long (`certificates`), so this checks that one step (RFC 5280, section 6, without policies
and revocation lists): names, signature, validity, what the root may issue and what the leaf may sign.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from veilmark.crypto.base import CryptoError
from veilmark.crypto.certificates import EXTENDED_USAGE, Purpose


def load_certificate(der: bytes, *, where: str) -> x509.Certificate:
    """Of DER, behind which one byte of padding may stand. Raises CryptoError."""
    for data in (der, der[:-1]) if der.endswith(b"\0") else (der,):
        try:
            return x509.load_der_x509_certificate(data)
        except ValueError:
            continue
    raise CryptoError("is no certificate", where=where)


def require_leaf(
    leaf: x509.Certificate, roots: Collection[x509.Certificate], *, purpose: Purpose, at: datetime
) -> None:
    """Raises CryptoError unless one of `roots` issued `leaf` for `purpose`, and both were valid `at` that time."""
    where = f"certificate {leaf.subject.rfc4514_string()[:120]}"
    issuer = next((root for root in roots if _has_issued(root, leaf)), None)
    if issuer is None:
        raise CryptoError("is not of a root that is trusted", where=where)
    for certificate, name in ((leaf, where), (issuer, f"root of {where}")):
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not begin <= at <= end:
            raise CryptoError(f"is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, not on {at:%Y-%m-%d}", where=name)
    if not _may_sign(leaf, purpose):
        raise CryptoError(f"was not issued for {purpose}", where=where)


def organisation_of(certificate: x509.Certificate) -> str:
    """Whose certificate it is: the organisation of its subject, on one line; "" where it names none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return " ".join(str(names[0].value).split()) if names else ""


def _has_issued(root: x509.Certificate, leaf: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(root)
        return root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (InvalidSignature, TypeError, ValueError, x509.ExtensionNotFound):
        return False


def _may_sign(leaf: x509.Certificate, purpose: Purpose) -> bool:
    try:
        extensions = leaf.extensions
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        may_sign = extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, x509.ExtensionNotFound):
        return False
    return may_sign and not is_authority and set(EXTENDED_USAGE[purpose]) <= set(usages)
