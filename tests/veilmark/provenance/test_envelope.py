"""Signed statements: both signatures or none, each by its own key, checked by tools that are not ours."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dilithium_py.ml_dsa import ML_DSA_65
from hypothesis import given, settings
from hypothesis import strategies as st

from veilmark.provenance.envelope import Statement, pae, sign_statement, verify_envelope
from veilmark.provenance.errors import (
    DowngradeError,
    FormatError,
    ProvenanceError,
    RevokedKeyError,
    SignatureError,
    UnknownKeyError,
)
from veilmark.provenance.identity import Identity, SigningIdentity
from veilmark.provenance.predicates import IMAGE_PREDICATE, RECALL_PREDICATE, RELEASE_PREDICATE
from veilmark.provenance.strict_json import canonical_json

AT = "2026-11-21T09:30:00Z"
DIGEST = "sha256:" + "ab" * 32
Envelope = dict[str, Any]
Change = Callable[[Envelope], Envelope]


def statement(kind: str = RELEASE_PREDICATE, **predicate: object) -> Statement:
    return Statement(subjects={"a": DIGEST}, predicate_type=kind, predicate=predicate or {"b": 1})


@pytest.fixture(scope="module")
def signer(make_signer: Callable[[int], SigningIdentity]) -> SigningIdentity:
    return make_signer(1)


@pytest.fixture(scope="module")
def stranger(make_signer: Callable[[int], SigningIdentity]) -> SigningIdentity:
    return make_signer(66)


def signed(signer: SigningIdentity, kind: str = RELEASE_PREDICATE, **predicate: object) -> Envelope:
    envelope: Envelope = json.loads(sign_statement(statement(kind, **predicate), signer))
    return envelope


def read(envelope: Envelope | bytes, *trusted: Identity, kind: str = RELEASE_PREDICATE) -> Statement:
    data = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    return verify_envelope(data, trusted, predicate_type=kind, where="e")


def test_pre_authentication_encoding_is_that_of_the_dsse_protocol() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@pytest.mark.parametrize(
    ("kind", "n_signatures"), [(RELEASE_PREDICATE, 2), (RECALL_PREDICATE, 2), (IMAGE_PREDICATE, 1)]
)
def test_a_signed_statement_reads_back(signer, kind: str, n_signatures: int) -> None:
    envelope = signed(signer, kind)
    assert read(envelope, signer.public(created_at=AT), kind=kind) == statement(kind)
    assert len(envelope["signatures"]) == n_signatures


@settings(deadline=None, max_examples=25)
@given(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(), max_size=4))
def test_whatever_a_statement_says_reads_back(make_signer, predicate: dict[str, object]) -> None:
    signer = make_signer(1)
    claim = Statement(subjects={"a": DIGEST}, predicate_type=IMAGE_PREDICATE, predicate=predicate)
    assert read(sign_statement(claim, signer), signer.public(created_at=AT), kind=IMAGE_PREDICATE) == claim


def test_a_kind_of_statement_that_there_is_not_is_neither_signed_nor_read(signer) -> None:
    with pytest.raises(FormatError, match="no kind of statement"):
        sign_statement(statement("urn:x"), signer)
    with pytest.raises(FormatError, match="no kind of statement"):
        read(signed(signer), signer.public(created_at=AT), kind="urn:x")


def with_first(**changes: object) -> Change:
    return lambda e: {**e, "signatures": [{**e["signatures"][0], **changes}, e["signatures"][1]]}


def with_second(**changes: object) -> Change:
    return lambda e: {**e, "signatures": [e["signatures"][0], {**e["signatures"][1], **changes}]}


def with_key_ids_exchanged(envelope: Envelope) -> Envelope:
    first, second = envelope["signatures"]
    return {**envelope, "signatures": [{**first, "keyid": second["keyid"]}, {**second, "keyid": first["keyid"]}]}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


ATTACKS = [
    pytest.param(with_first(keyid="sha256:" + "0" * 64), DowngradeError, id="first key unknown"),
    pytest.param(with_second(keyid="sha256:" + "0" * 64), DowngradeError, id="second key unknown"),
    pytest.param(with_first(sig=base64_of(bytes(64))), SignatureError, id="first signature of zeros"),
    pytest.param(with_second(sig=base64_of(bytes(3309))), SignatureError, id="second signature of zeros"),
    pytest.param(with_second(sig=""), SignatureError, id="second signature empty"),
    pytest.param(lambda e: {**e, "signatures": e["signatures"][:1]}, DowngradeError, id="second signature removed"),
    pytest.param(lambda e: {**e, "signatures": e["signatures"][1:]}, DowngradeError, id="first signature removed"),
    pytest.param(with_key_ids_exchanged, SignatureError, id="key ids exchanged"),
    pytest.param(with_first(alg="none"), FormatError, id="algorithm in the message"),
    pytest.param(with_second(keyid=None), FormatError, id="key id no text"),
    pytest.param(lambda e: {**e, "signatures": []}, FormatError, id="unsigned"),
    pytest.param(lambda e: {**e, "signatures": e["signatures"][:1] * 2}, FormatError, id="first signature twice"),
    pytest.param(
        lambda e: {**e, "signatures": [*e["signatures"], {"keyid": "x", "sig": ""}]}, FormatError, id="a third one"
    ),
    pytest.param(lambda e: {**e, "payloadType": "text/plain"}, FormatError, id="another payload type"),
    pytest.param(lambda e: {**e, "payload": "e30="}, SignatureError, id="another payload"),
    pytest.param(lambda e: {**e, "payload": e["payload"] + "\n"}, FormatError, id="loose base64"),
    pytest.param(lambda e: {**e, "extra": 1}, FormatError, id="unknown field"),
]


@pytest.mark.parametrize(("change", "error"), ATTACKS)
def test_an_envelope_that_is_not_as_signed_is_refused(signer, change: Change, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        read(change(signed(signer)), signer.public(created_at=AT))
    assert type(raised.value) is error
    assert str(raised.value).startswith("e: ")


def test_the_second_signature_of_another_statement_does_not_fit(signer) -> None:
    envelope, other = signed(signer), signed(signer, b=2)
    envelope["signatures"][1] = other["signatures"][1]
    with pytest.raises(SignatureError, match="ml-dsa-65 signature does not verify"):
        read(envelope, signer.public(created_at=AT))


def test_two_trusted_identities_do_not_sign_for_each_other(signer, stranger) -> None:
    envelope = signed(signer)
    envelope["signatures"][1] = signed(stranger)["signatures"][1]
    trusted = signer.public(created_at=AT), stranger.public(created_at=AT)
    for order in (trusted, trusted[::-1]):
        with pytest.raises(DowngradeError, match="downgraded"):
            read(envelope, *order)


def test_the_signature_of_a_weaker_kind_does_not_carry_a_release(signer) -> None:
    """An image statement needs Ed25519 alone. Given for a release it is refused, whatever its payload says."""
    with pytest.raises(DowngradeError):
        read(signed(signer, IMAGE_PREDICATE), signer.public(created_at=AT), kind=RELEASE_PREDICATE)
    with pytest.raises(FormatError, match="2 signatures where 1 belong"):
        read(signed(signer), signer.public(created_at=AT), kind=IMAGE_PREDICATE)
    with pytest.raises(FormatError, match="no statement of the kind"):
        read(signed(signer, RECALL_PREDICATE), signer.public(created_at=AT), kind=RELEASE_PREDICATE)


def test_unknown_and_revoked_signers_are_told_apart(signer, stranger) -> None:
    with pytest.raises(UnknownKeyError, match="unknown key"):
        read(signed(stranger), signer.public(created_at=AT))
    with pytest.raises(UnknownKeyError):
        read(signed(signer))
    revoked = Identity(keys=signer.public(created_at=AT).keys, created_at=AT, revoked_at="2026-11-22T00:00:00Z")
    with pytest.raises(RevokedKeyError, match="revoked at 2026-11-22"):
        read(signed(signer), revoked)


def test_a_payload_with_a_repeated_key_is_refused_though_it_is_signed(signer) -> None:
    """Two readers may take two meanings from it: a good signature does not help."""
    plain = json.loads(statement().payload())
    payload = canonical_json(plain).replace(b'"predicate":{"b":1}', b'"predicate":{"b":1,"b":2}')
    data = pae("application/vnd.in-toto+json", payload)
    rows = [{"keyid": key.key_id, "sig": base64_of(key.sign(data))} for key in signer.signers.values()]
    envelope = {"payloadType": "application/vnd.in-toto+json", "payload": base64_of(payload), "signatures": rows}
    with pytest.raises(FormatError, match="repeated"):
        read(envelope, signer.public(created_at=AT))
    text = json.dumps(signed(signer)).replace('"payloadType"', '"payloadType": "x", "payloadType"')
    with pytest.raises(FormatError, match="repeated"):
        read(text.encode(), signer.public(created_at=AT))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_flipped_bit_is_refused(make_signer, data: st.DataObject) -> None:
    signer = make_signer(1)
    whole = sign_statement(statement(), signer)
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        assert read(bytes(damaged), signer.public(created_at=AT)) == statement()
    except ProvenanceError:
        return
    assert json.loads(damaged) == json.loads(whole), "white space alone may differ"


def test_openssl_and_a_second_ml_dsa_find_both_signatures_good(signer, tmp_path: Path, require_program) -> None:
    openssl = require_program("openssl", "openssl")
    envelope = signed(signer)
    first, second = (base64.b64decode(row["sig"]) for row in envelope["signatures"])
    message = pae(envelope["payloadType"], base64.b64decode(envelope["payload"]))
    key = Ed25519PublicKey.from_public_bytes(signer.ed25519.public_key_bytes)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, data in {"key.pem": pem, "message": message, "changed": message + b".", "signature": first}.items():
        (tmp_path / name).write_bytes(data)
    verify = [openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-sigfile", "signature", "-in"]
    for name, answer in (("message", 0), ("changed", 1)):
        result = subprocess.run([*verify, name], cwd=tmp_path, capture_output=True, check=False)
        assert result.returncode == answer, result.stderr
    assert ML_DSA_65.verify(signer.ml_dsa_65.public_key_bytes, message, second)
    assert not ML_DSA_65.verify(signer.ml_dsa_65.public_key_bytes, message + b".", second)
