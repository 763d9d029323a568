"""The trust root: what it names is whole and has one meaning, or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veilmark.crypto.base import Algorithm
from veilmark.provenance.errors import FileError, FormatError
from veilmark.provenance.trust import TrustRoot

AT = "2026-11-21T09:30:00Z"
DIGEST = "sha256:" + "ab" * 32
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def written(make_signer, tmp_path: Path) -> Path:
    path = tmp_path / "root.json"
    TrustRoot.of(make_signer(1), created_at=AT, timestamp_roots=[b"certificate"]).write(path)
    return path


def test_a_trust_root_writes_and_reads(make_signer, written: Path) -> None:
    root = TrustRoot.read(written)
    (identity,) = root.identities
    assert root.to_bytes() == written.read_bytes()
    assert identity.id == make_signer(1).id != make_signer(2).id
    assert identity.keys[Algorithm.ML_DSA_65] == make_signer(1).ml_dsa_65.public_key_bytes
    assert list(root.timestamp_roots) == [b"certificate"]


def test_neither_key_alone_makes_an_identity(make_signer) -> None:
    """Its id names the pair."""
    one, two = make_signer(1), make_signer(2)
    mixed = type(one)(ed25519=one.ed25519, ml_dsa_65=two.ml_dsa_65)
    assert len({one.id, two.id, mixed.id}) == 3


def change_key(index: int, **changes: object) -> Change:
    return lambda body: body["identities"][0]["keys"][index].update(changes)


def change_identity(**changes: object) -> Change:
    return lambda body: body["identities"][0].update(changes)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change_key(0, algorithm="none"), id="another algorithm"),
        pytest.param(change_key(1, algorithm="ed25519"), id="two of one algorithm"),
        pytest.param(change_key(0, key_id=DIGEST), id="key id of another key"),
        pytest.param(change_key(1, public_key="AAAA"), id="short key"),
        pytest.param(change_key(1, extra=1), id="unknown field of a key"),
        pytest.param(lambda body: body["identities"][0]["keys"].pop(), id="second key missing"),
        pytest.param(lambda body: body["identities"][0]["keys"].reverse(), id="keys exchanged"),
        pytest.param(change_identity(revoked_at="soon"), id="revoked at no time"),
        pytest.param(change_identity(created_at=""), id="made at no time"),
        pytest.param(lambda body: body.update(identities=body["identities"] * 2), id="an identity twice"),
        pytest.param(lambda body: body.update(identities=[]), id="no identity"),
        pytest.param(lambda body: body.update(timestamp_roots=["A"]), id="certificate in no base64"),
        pytest.param(lambda body: body.update(certificate_roots=["AAAA"]), id="certificate root that is none"),
        pytest.param(lambda body: body.pop("certificate_roots"), id="no certificate roots"),
        pytest.param(lambda body: body.update(schema="veilmark/trust-root/2"), id="certificate roots in the second"),
        pytest.param(lambda body: body.update(schema="veilmark/trust-root/4"), id="another schema"),
        pytest.param(lambda body: body.pop("schema"), id="no schema"),
    ],
)
def test_a_trust_root_that_is_odd_is_refused(written: Path, change: Change) -> None:
    body = json.loads(written.read_bytes())
    change(body)
    written.write_text(json.dumps(body))
    with pytest.raises(FormatError) as raised:
        TrustRoot.read(written)
    assert "\n" not in str(raised.value)


def test_a_root_of_the_second_schema_pins_no_certificate(make_signer, written: Path) -> None:
    body = json.loads(written.read_bytes())
    del body["certificate_roots"]
    written.write_text(json.dumps(body | {"schema": "veilmark/trust-root/2"}))
    root = TrustRoot.read(written)
    assert (root.identities[0].id, root.certificate_roots) == (make_signer(1).id, ())


def test_a_root_of_the_first_schema_is_refused_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    path.write_text(json.dumps({"schema": "veilmark/trust-root/1", "keys": []}))
    with pytest.raises(FormatError, match=r"names Ed25519 keys alone.*get the publisher's new trust-root\.json"):
        TrustRoot.read(path)


def test_a_root_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        TrustRoot.read(tmp_path / "root.json")
