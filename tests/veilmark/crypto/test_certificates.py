"""A site's certificates: kept encrypted, renewed each year, and accepted by OpenSSL."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from veilmark.crypto.base import CryptoError
from veilmark.crypto.certificates import Purpose, site_credential, site_root_pem
from veilmark.crypto.file_keys import FileKeyProvider

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
SITE = {"organisation": "Test hospital"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates") / "keys"


@pytest.fixture(scope="module")
def keys(folder: Path) -> FileKeyProvider:
    return FileKeyProvider(folder, "a passphrase")


@pytest.mark.parametrize("purpose", Purpose)
def test_openssl_accepts_the_chain(
    keys: FileKeyProvider, purpose: Purpose, tmp_path: Path, require_program: Callable[[str, str], Path]
) -> None:
    openssl = require_program("openssl", "openssl")
    credential = site_credential(keys, purpose, **SITE, now=NOW)
    (tmp_path / "root.pem").write_bytes(credential.root_pem)
    (tmp_path / "leaf.pem").write_bytes(credential.certificate.public_bytes(Encoding.PEM))
    at = ["-attime", str(int(NOW.timestamp()))]
    command = [openssl, "verify", "-x509_strict", *at, "-CAfile", tmp_path / "root.pem", tmp_path / "leaf.pem"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().endswith("OK")


def test_kinds_of_keys_and_usages(keys: FileKeyProvider) -> None:
    dicom, c2pa = (site_credential(keys, purpose, **SITE, now=NOW) for purpose in Purpose)
    assert isinstance(dicom.key, rsa.RSAPrivateKey)
    assert dicom.key.key_size == 3072
    assert isinstance(c2pa.key, ec.EllipticCurvePrivateKey)
    for credential in (dicom, c2pa):
        extensions = credential.certificate.extensions
        assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
        assert credential.certificate.public_key() == credential.key.public_key()
        assert credential.root_pem == site_root_pem(keys, **SITE)
        credential.certificate.verify_directly_issued_by(credential.root)
    usages = c2pa.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert "1.3.6.1.4.1.62558.2.1" in {usage.dotted_string for usage in usages}


def test_certificates_survive_a_restart_and_are_renewed_each_year(folder: Path, keys: FileKeyProvider) -> None:
    first = site_credential(keys, Purpose.C2PA, **SITE, now=NOW)
    again = site_credential(FileKeyProvider(folder, "a passphrase"), Purpose.C2PA, organisation="Other", now=NOW)
    assert again.certificate == first.certificate
    later = site_credential(keys, Purpose.C2PA, **SITE, now=NOW.replace(year=2027, month=1))
    assert later.root == first.root
    assert later.certificate != first.certificate
    assert later.certificate.not_valid_before_utc < first.certificate.not_valid_after_utc


def test_no_private_key_lies_open(folder: Path, keys: FileKeyProvider) -> None:
    site_credential(keys, Purpose.C2PA, **SITE, now=NOW)
    names = {path.name for path in folder.iterdir()}
    assert {"secret-site-root.key", "secret-c2pa-2026.key"} <= names
    assert "PRIVATE" not in repr(site_credential(keys, Purpose.C2PA, **SITE, now=NOW))
    assert not any(b"PRIVATE" in path.read_bytes() or b"CERTIFICATE" in path.read_bytes() for path in folder.iterdir())
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_clock_before_the_certificate_is_refused(keys: FileKeyProvider) -> None:
    site_credential(keys, Purpose.C2PA, **SITE, now=NOW)
    with pytest.raises(CryptoError, match="check the clock"):
        site_credential(keys, Purpose.C2PA, **SITE, now=NOW.replace(month=10))


def test_a_damaged_secret_is_refused(tmp_path: Path, keys: FileKeyProvider) -> None:
    one, other = (site_credential(keys, purpose, **SITE, now=NOW) for purpose in Purpose)
    damaged = {
        "no certificate": b"no certificate",
        "a key alone": one.key_pem,
        "another key's certificate": one.key_pem + other.certificate_pem,
    }
    for name, content in damaged.items():
        keys = FileKeyProvider(tmp_path / name.replace(" ", "-"), "a passphrase")
        assert keys.secret("site-root", lambda content=content: content) == content
        with pytest.raises(CryptoError, match="site-root"):
            site_root_pem(keys, **SITE)
