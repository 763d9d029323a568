"""A leaf is believed for its own purpose, under its own root, in its own time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from veilmark.crypto.base import CryptoError
from veilmark.crypto.certificates import Credential, Purpose, site_credential
from veilmark.crypto.chains import load_certificate, organisation_of, require_leaf
from veilmark.crypto.file_keys import FileKeyProvider

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def credential(tmp_path_factory: pytest.TempPathFactory) -> Credential:
    """P-256: quicker to make than RSA, and the chain is the same."""
    keys = FileKeyProvider(tmp_path_factory.mktemp("chains") / "keys", "a passphrase")
    return site_credential(keys, Purpose.C2PA, organisation="Test hospital", now=NOW)


def test_a_leaf_of_the_root_is_believed_to_its_last_day(credential: Credential) -> None:
    leaf, root = credential.certificate, credential.root
    for moment in (leaf.not_valid_before_utc, NOW, leaf.not_valid_after_utc):
        require_leaf(leaf, [root], purpose=Purpose.C2PA, at=moment)
    assert organisation_of(leaf) == "Test hospital"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"purpose": Purpose.DICOM}, "was not issued for dicom", id="another purpose"),
        pytest.param({"at": datetime(2029, 1, 1, tzinfo=UTC)}, "to 2028-01-01, not on 2029", id="expired"),
        pytest.param({"at": datetime(2026, 11, 21, tzinfo=UTC)}, "from 2026-11-22", id="not yet valid"),
        pytest.param({"at": datetime(2050, 1, 1, tzinfo=UTC)}, "is valid from", id="root expired"),
        pytest.param({"roots": []}, "not of a root", id="no root"),
    ],
)
def test_what_does_not_fit_is_refused(credential: Credential, change: dict[str, object], words: str) -> None:
    terms = {"roots": [credential.root], "purpose": Purpose.C2PA, "at": NOW} | change
    with pytest.raises(CryptoError, match=words):
        require_leaf(credential.certificate, terms.pop("roots"), **terms)


def test_neither_a_leaf_nor_a_stranger_issues(credential: Credential, tmp_path: Path) -> None:
    keys = FileKeyProvider(tmp_path / "keys", "a passphrase")
    stranger = site_credential(keys, Purpose.C2PA, organisation="Test hospital", now=NOW)
    for issuer in (credential.certificate, stranger.root, stranger.certificate):
        with pytest.raises(CryptoError, match="not of a root"):
            require_leaf(credential.certificate, [issuer], purpose=Purpose.C2PA, at=NOW)
    with pytest.raises(CryptoError, match="was not issued for"):  # a root signs certificates and nothing else
        require_leaf(credential.root, [credential.root], purpose=Purpose.C2PA, at=NOW)


def test_der_may_be_padded_and_nothing_more(credential: Credential) -> None:
    der = credential.certificate.public_bytes(Encoding.DER)
    assert load_certificate(der + b"\0", where="x") == load_certificate(der, where="x") == credential.certificate
    for data in (b"", b"\0", der[:-1], der + b"\0\0", der + b"\1"):
        with pytest.raises(CryptoError, match="is no certificate"):
            load_certificate(data, where="x")
