"""The operator's side of trust: publish, rotate, revoke, sign with a new identity; and what receivers then believe."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from veilmark.core.keys import site_identity
from veilmark.ledger.models import Event
from veilmark.provenance.envelope import sign_statement, verify_envelope
from veilmark.provenance.errors import RevokedKeyError
from veilmark.provenance.identity import Identity
from veilmark.provenance.roots.client import read_roots, update_roots
from veilmark.provenance.roots.content import Roots
from veilmark.provenance.statements import RECALL_PREDICATE, recall_statement
from veilmark.releases.models import Release
from veilmark.releases.trust_roots import roots_folder, trust_root_current

pytestmark = [pytest.mark.django_db, pytest.mark.database]
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture(autouse=True)
def var_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.VEILMARK_VAR = tmp_path / "var"


def manage(*arguments: str) -> str:
    out = io.StringIO()
    call_command("trust_roots", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def receiver(tmp_path: Path) -> Path:
    """Somebody who pinned the first root."""
    manage("publish")
    folder = tmp_path / "receiver"
    update_roots(folder, str(roots_folder()), pinned=(roots_folder() / "metadata" / "1.root.json").read_bytes())
    return folder


def update(receiver: Path) -> Roots:
    return update_roots(receiver, str(roots_folder()))


def recall_by_this_site() -> bytes:
    terms = {"release_id": "demo", "manifest_digest": DIGEST, "reason": "r", "recalled_at": "2026-11-22T00:00:00Z"}
    return sign_statement(recall_statement(**terms), site_identity())


def believed(envelope: bytes, roots: Roots) -> Identity | None:
    statement = verify_envelope(envelope, roots.trust_root.identities, predicate_type=RECALL_PREDICATE, where="e")
    return statement.predicate["release_id"] == "demo"


def test_what_is_published_is_believed_and_recorded(receiver: Path) -> None:
    assert believed(recall_by_this_site(), read_roots(receiver))
    event = Event.objects.latest("sequence")
    assert (event.kind, event.payload["revoked_at"]) == ("trust_root:published", {site_identity().id: ""})


def test_a_receiver_follows_new_holders(receiver: Path) -> None:
    for version in (2, 3):
        manage("rotate")
        assert (roots_folder() / "metadata" / f"{version}.root.json").exists()
        manage("publish")
        assert believed(recall_by_this_site(), update(receiver))
    assert Event.objects.filter(kind="trust_root:rotated").count() == 2


@pytest.mark.usefixtures("released")
def test_a_release_that_was_revoked_is_named(receiver: Path) -> None:
    assert not update(receiver).revoked
    Release.objects.update(state="revoked", manifest_digest=DIGEST)
    assert "1 releases taken back" in manage("publish")
    assert update(receiver).revoked == (DIGEST,)


def test_a_site_changes_its_keys_and_revokes_the_old_ones(receiver: Path, settings: Any) -> None:
    old, signed_before = site_identity().id, recall_by_this_site()
    settings.VEILMARK_SIGNING_KEY = "release-2"
    manage("publish")
    roots = update(receiver)
    assert believed(signed_before, roots)
    assert believed(recall_by_this_site(), roots)
    assert f"{old} revoked at 20" in manage("revoke", old)
    roots = update(receiver)
    assert believed(recall_by_this_site(), roots)
    with pytest.raises(RevokedKeyError):
        believed(signed_before, roots)
    for identity in (old, DIGEST):
        with pytest.raises(CommandError, match="identity sha256:"):
            manage("revoke", identity)


def test_an_authority_that_comes_later_is_added(receiver: Path, settings: Any, tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    path = tmp_path / "roots.pem"
    path.write_text(STAMP_ROOT)
    settings.VEILMARK_STAMP_ROOTS = str(path)
    assert trust_root_current().timestamp_roots == ()
    manage("publish")
    manage("publish")
    der = x509.load_pem_x509_certificate(STAMP_ROOT.encode()).public_bytes(Encoding.DER)
    assert update(receiver).trust_root.timestamp_roots == (der,)


def test_without_a_repository_there_is_nothing_to_rotate() -> None:
    with pytest.raises(CommandError):
        manage("rotate")


STAMP_ROOT = """-----BEGIN CERTIFICATE-----
MIIBgzCCASmgAwIBAgIUIrH6qqv0QWWnOFygEgDvBpFLUMEwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEcm9vdDAeFw0yNjExMjExNTAzNTBaFw0yNzAzMDIxNTAzNTBa
MA8xDTALBgNVBAMMBHJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARZOCxL
lKqdo0V/DHWdnL3iVZKrADr2Cr/tSBa7m41aW6AhfnSNtPWvEhLle+F2ilg04dpk
BE3AX+QbteccsHQ3o2MwYTAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIB
BjAdBgNVHQ4EFgQUKze3RBUbtTyZ9csVATD6kKH2mFIwHwYDVR0jBBgwFoAUKze3
RBUbtTyZ9csVATD6kKH2mFIwCgYIKoZIzj0EAwIDSAAwRQIhALiKLhnXczrZMC16
bISuFZbhMjYzooRjwQMJOEiNYqN0AiBg6ueGGy6AQHzzIQsjLALnO6h8iuRGo9Tr
CRxGDqf7vw==
-----END CERTIFICATE-----
"""
