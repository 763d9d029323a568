"""A site's own certificates: one root, and under it a new leaf each year for every kind of embedded signature.

Certificates are for signatures that only X.509 carries (DICOM, PS3.15 annex C; C2PA): whoever trusts the root file, got
from the publisher, needs no authority and no network. Root and leaves lie in the key provider's folder, encrypted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache, partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from veilmark.crypto.base import CryptoError, KeyProvider

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_ROOT_YEARS = 20
_DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
_C2PA_CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")  # C2PA 2.x, section 14.5.1


class Purpose(StrEnum):
    """What a leaf signs: its key's kind and its extended key usage follow from it."""

    DICOM = "dicom"  # RSA-3072: the Creator RSA profile (PS3.15 C.2) knows no other kind
    C2PA = "c2pa"  # P-256: ES256


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A private key, its certificate, and the root that issued it, as PEM: it can go to another process.

    key_pem: PKCS #8, not encrypted; never shown, and never for a file.
    """

    key_pem: bytes = field(repr=False)
    certificate_pem: bytes
    root_pem: bytes

    @property
    def key(self) -> PrivateKey:
        """The key as an object."""
        return _load_key(self.key_pem)

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate as an object."""
        return x509.load_pem_x509_certificate(self.certificate_pem)

    @property
    def root(self) -> x509.Certificate:
        """What verifiers trust, as an object."""
        return x509.load_pem_x509_certificate(self.root_pem)

    @property
    def chain_pem(self) -> bytes:
        """The certificate, then the root."""
        return self.certificate_pem + self.root_pem


def site_root_pem(keys: KeyProvider, *, organisation: str, now: datetime | None = None) -> bytes:
    """The root certificate to hand out, made at the first call. Raises CryptoError."""
    return _root(keys, organisation, now or datetime.now(UTC)).root_pem


def site_credential(
    keys: KeyProvider, purpose: Purpose, *, organisation: str, now: datetime | None = None
) -> Credential:
    """This year's leaf for `purpose`, made at the first call of a year and valid to the end of the next.

    `organisation` is written into certificates when they are made, and changes none that exist. Raises CryptoError.
    """
    now = now or datetime.now(UTC)
    root = _root(keys, organisation, now)
    name = f"{purpose}-{now.year}"
    pem = keys.secret(name, partial(_issue_leaf, root, purpose, organisation, now))
    leaf = _credential(pem, root_pem=root.root_pem, where=name)
    if not leaf.certificate.not_valid_before_utc <= now <= leaf.certificate.not_valid_after_utc:
        raise CryptoError("is not valid now", where=f"certificate {name}", remedy="check the clock")
    return leaf


def _root(keys: KeyProvider, organisation: str, now: datetime) -> Credential:
    name = "site-root"
    return _credential(keys.secret(name, partial(_issue_root, organisation, now)), root_pem=b"", where=name)


def _issue_root(organisation: str, now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(organisation, "root of synthetic images")
    until = now + timedelta(days=366 * _ROOT_YEARS)
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = (
        _builder(name, key.public_key(), now, until)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return _pem(key, builder.sign(key, SHA256()))


def _issue_leaf(root: Credential, purpose: Purpose, organisation: str, now: datetime) -> bytes:
    key = _NEW_KEY[purpose]()
    until = datetime(now.year + 2, 1, 1, tzinfo=UTC)
    root_key_id = root.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_key_id)
    builder = (
        _builder(_name(organisation, f"synthetic images, {purpose}"), key.public_key(), now, until)
        .issuer_name(root.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, content_commitment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(EXTENDED_USAGE[purpose]), critical=False)
        .add_extension(issuer, critical=False)
    )
    return _pem(key, builder.sign(root.key, SHA256()))


def _builder(
    subject: x509.Name, public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)  # clocks differ by minutes
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(midnight)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(organisation: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


_NEW_KEY: dict[Purpose, Callable[[], PrivateKey]] = {
    Purpose.DICOM: partial(rsa.generate_private_key, public_exponent=65537, key_size=3072),
    Purpose.C2PA: partial(ec.generate_private_key, ec.SECP256R1()),
}
EXTENDED_USAGE = {
    Purpose.DICOM: [_DOCUMENT_SIGNING],
    Purpose.C2PA: [_C2PA_CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION],
}


def _pem(key: PrivateKey, certificate: x509.Certificate) -> bytes:
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key_pem + certificate.public_bytes(Encoding.PEM)


def _credential(pem: bytes, *, root_pem: bytes, where: str) -> Credential:
    """What `_pem` put together; a root is its own."""
    key_pem, begin, rest = pem.partition(b"-----BEGIN CERTIFICATE-----")
    certificate_pem = begin + rest
    credential = Credential(key_pem=key_pem, certificate_pem=certificate_pem, root_pem=root_pem or certificate_pem)
    try:
        is_pair = credential.certificate.public_key() == credential.key.public_key()
    except (TypeError, ValueError) as error:
        raise CryptoError("holds no key and certificate", where=where, remedy="restore it from a copy") from error
    if not is_pair:
        raise CryptoError("holds another key's certificate", where=where, remedy="restore it from a copy")
    return credential


@lru_cache(maxsize=8)  # loading an RSA key checks its primes
def _load_key(pem: bytes) -> PrivateKey:
    key = load_pem_private_key(pem, None)
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise TypeError("neither RSA nor elliptic")
    return key
