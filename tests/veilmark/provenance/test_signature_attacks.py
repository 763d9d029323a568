"""Whatever is done to the signatures of a published bundle: never authentic, never recalled, and the file is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from veilmark.provenance.bundle import write_recall
from veilmark.provenance.layout import RECALL_NAME, RELEASE_ENVELOPE
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Verdict
from veilmark.provenance.verify import verify_path

AT = "2026-11-22T09:30:00Z"
Envelope = dict[str, Any]


def first_alone(envelope: Envelope, _: Envelope) -> None:
    envelope["signatures"].pop()


def second_alone(envelope: Envelope, _: Envelope) -> None:
    envelope["signatures"].pop(0)


def second_of_another_release(envelope: Envelope, other: Envelope) -> None:
    envelope["signatures"][1] = other["signatures"][1]


def both_of_another_release(envelope: Envelope, other: Envelope) -> None:
    envelope["signatures"] = other["signatures"]


def key_ids_exchanged(envelope: Envelope, _: Envelope) -> None:
    first, second = envelope["signatures"]
    first["keyid"], second["keyid"] = second["keyid"], first["keyid"]


def algorithm_named(envelope: Envelope, _: Envelope) -> None:
    envelope["signatures"][1]["alg"] = "none"


def another_release(envelope: Envelope, other: Envelope) -> None:
    envelope.clear()
    envelope.update(other)


ATTACKS = {
    first_alone: "downgraded: the signer's ml-dsa-65 signature is missing",
    second_alone: "downgraded: the signer's ed25519 signature is missing",
    second_of_another_release: "the ml-dsa-65 signature does not verify",
    both_of_another_release: "the ed25519 signature does not verify",
    key_ids_exchanged: "the ed25519 signature does not verify",
    algorithm_named: "unknown field 'alg'",
    another_release: None,  # a good envelope, only not of this manifest
}


@pytest.mark.parametrize(("attack", "told"), ATTACKS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_release_envelope_that_was_touched_is_named(
    published, other_release, copy: Path, attack: Callable[[Envelope, Envelope], None], told: str | None
) -> None:
    path = copy / RELEASE_ENVELOPE
    envelope = json.loads(path.read_bytes())
    attack(envelope, json.loads((other_release.bundle.folder / RELEASE_ENVELOPE).read_bytes()))
    path.write_text(json.dumps(envelope))
    result = verify_path(copy, trust_root=published.trust_root)
    assert result.verdict is Verdict.ALTERED
    problems = {problem.where: problem.what for problem in result.problems}
    if told:
        assert problems[RELEASE_ENVELOPE] == told
    else:
        assert problems["manifest.json"] == f"is not what {RELEASE_ENVELOPE} signs"


def test_a_repeated_key_in_an_envelope_is_refused(published, copy: Path) -> None:
    path = copy / RELEASE_ENVELOPE
    path.write_text(path.read_text().replace('"payloadType"', '"payloadType": "x",\n "payloadType"', 1))
    result = verify_path(copy, trust_root=published.trust_root)
    assert result.verdict is Verdict.ALTERED
    assert "repeated" in {problem.where: problem.what for problem in result.problems}[RELEASE_ENVELOPE]


@pytest.mark.parametrize("attack", [first_alone, second_alone, key_ids_exchanged])
def test_half_a_recall_takes_nothing_back(published, copy: Path, attack) -> None:
    """Whoever broke one algorithm can neither publish nor recall."""
    write_recall(copy, signer=published.signer, reason="r", recalled_at=AT)
    envelope = json.loads((copy / RECALL_NAME).read_bytes())
    attack(envelope, {})
    (copy / RECALL_NAME).write_text(json.dumps(envelope))
    result = verify_path(copy, trust_root=published.trust_root)
    assert result.verdict is Verdict.ALTERED
    assert {problem.where for problem in result.problems} == {RECALL_NAME}


def test_a_recall_is_no_release(published, copy: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(copy, tmp_path / "other"))
    write_recall(other, signer=published.signer, reason="r", recalled_at=AT)
    shutil.copy(other / RECALL_NAME, copy / RELEASE_ENVELOPE)
    result = verify_path(copy, trust_root=published.trust_root)
    assert result.verdict is Verdict.ALTERED
    told = {problem.where: problem.what for problem in result.problems}[RELEASE_ENVELOPE]
    assert told == "is no statement of the kind urn:veilmark:release:1"


def test_an_identity_of_two_half_identities_is_a_stranger(published, make_signer) -> None:
    """A root that pairs one key of the publisher's with another's believes neither."""
    mixed = replace(published.signer, ml_dsa_65=make_signer(66).ml_dsa_65)
    result = verify_path(published.bundle.folder, trust_root=TrustRoot.of(mixed, created_at=AT))
    assert result.verdict is not Verdict.AUTHENTIC
    assert RELEASE_ENVELOPE in {problem.where for problem in result.problems}


def test_a_revoked_identity_is_not_believed_though_everything_fits(published) -> None:
    (identity,) = published.trust_root.identities
    root = published.trust_root.revoke(identity.id, revoked_at=AT)
    result = verify_path(published.bundle.folder, trust_root=root)
    assert (result.verdict, result.exit_code) == (Verdict.UNDETERMINED, 15)
    assert "signed by a key that was revoked at 2026-11-22T09:30:00Z" in {problem.what for problem in result.problems}
