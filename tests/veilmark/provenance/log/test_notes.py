"""Signed notes and checkpoints: the format's published examples, and whatever is none."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilmark.provenance.errors import FormatError, ProvenanceError, SignatureError, UnknownKeyError
from veilmark.provenance.log.checkpoint import Checkpoint, parse_checkpoint, verify_checkpoint
from veilmark.provenance.log.notes import note_key_id, sign_note, verify_note

# The example of golang.org/x/mod/sumdb/note, signed by its authors.
KEY = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]
NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The example of c2sp.org/tlog-checkpoint.
SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
CHECKPOINT = Checkpoint(origin="hospital.example/log", size=7, root=bytes(range(32)))


def test_a_note_signed_elsewhere_verifies() -> None:
    assert note_key_id("PeterNeumann", KEY).hex() == "c74f20a3"
    text = verify_note(NOTE.encode(), name="PeterNeumann", public_keys=[KEY], where="note")
    assert text.startswith("If you think cryptography")


def test_a_checkpoint_made_elsewhere_is_read() -> None:
    checkpoint = parse_checkpoint(SOFA.encode(), where="checkpoint")
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e")


def test_signatures_of_others_are_passed_over(signer, trusted, make_signer) -> None:
    witness = make_signer(9).ed25519
    note = CHECKPOINT.signed(signer.ed25519) + b"\xe2\x80\x94 witness.example " + base64.b64encode(bytes(76)) + b"\n"
    assert verify_checkpoint(note, trusted, where="c") == CHECKPOINT
    with pytest.raises(UnknownKeyError):
        verify_checkpoint(CHECKPOINT.signed(witness), trusted, where="c")


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_flipped_bit_never_passes(signer, trusted, data: st.DataObject) -> None:
    note = bytearray(CHECKPOINT.signed(signer.ed25519))
    bit = data.draw(st.integers(0, 8 * len(note) - 1))
    note[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProvenanceError):
        verify_checkpoint(bytes(note), trusted, where="c")


def changed(old: str, new: str) -> bytes:
    assert old in SOFA
    return SOFA.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("note", "what"),
    [
        pytest.param(b"", "no signed note", id="empty"),
        pytest.param(b"\xff\xfe", "no UTF-8", id="no text"),
        pytest.param(changed("\n\n", "\n"), "no signed note", id="no blank line"),
        pytest.param(SOFA.rstrip("\n").encode(), "no signed note", id="no last newline"),
        pytest.param(changed("\u2014", "-"), "no signature", id="no dash"),
        pytest.param(changed("sofa\n2", "sofa\r\n2"), "no signed note", id="control character"),
        pytest.param(changed("20852163", "020852163"), "no checkpoint", id="leading zero"),
        pytest.param(changed("20852163", "-1"), "no checkpoint", id="negative size"),
        pytest.param(changed("20852163", "9" * 30), "no checkpoint", id="huge size"),
        pytest.param(changed("q2I=\n", "q2I=\nextension\n"), "no checkpoint", id="extension line"),
        pytest.param(changed("CsUYapGG", "CsUY"), "no SHA-256", id="short root"),
        pytest.param(changed("q2I=", "q2J="), "not canonical", id="base64 of two spellings"),
        pytest.param(changed("example.com/", "example com/"), "no name", id="space in the origin"),
        pytest.param(b"a" * (1 << 19), "larger than", id="too large"),
    ],
)
def test_what_is_no_checkpoint_is_refused(note: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        parse_checkpoint(note, where="c")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "x" * 300])
def test_a_name_that_would_break_the_note_is_refused(signer, name: str) -> None:
    with pytest.raises(FormatError, match="no name"):
        sign_note("text\n", signer.ed25519, name=name)


def test_a_signature_over_another_text_is_refused(signer, trusted) -> None:
    note = CHECKPOINT.signed(signer.ed25519).replace(b"\n7\n", b"\n8\n")
    with pytest.raises(SignatureError, match="does not verify"):
        verify_checkpoint(note, trusted, where="c")


def test_a_revoked_key_signs_nothing(signer) -> None:
    identity = signer.public(created_at="2026-11-21T09:30:00Z")
    revoked = type(identity)(keys=identity.keys, created_at=identity.created_at, revoked_at="2026-11-22T00:00:00Z")
    with pytest.raises(UnknownKeyError):
        verify_checkpoint(CHECKPOINT.signed(signer.ed25519), [revoked], where="c")
