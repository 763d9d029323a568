"""Publishing: exactly the audited and endorsed files leave, whole, signed, and say nothing exact of real people."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dilithium_py.ml_dsa import ML_DSA_65
from django.utils import timezone
from PIL import Image, PngImagePlugin

from veilmark.cohorts.selectors import cohort_images
from veilmark.core.errors import StateError
from veilmark.core.transparency import log_folder
from veilmark.crypto.base import Algorithm
from veilmark.ledger.models import Event
from veilmark.provenance.digests import digest_of
from veilmark.provenance.log.checkpoint import parse_checkpoint
from veilmark.provenance.log.entries import image_entries, statement_entry
from veilmark.provenance.log.monitor import check_log
from veilmark.provenance.log.reader import LogFolder
from veilmark.provenance.manifest import parse_manifest
from veilmark.provenance.roots.content import Roots
from veilmark.provenance.roots.repository import read_published
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verify import verify_path
from veilmark.releases.models import Release
from veilmark.releases.publication import release_publish
from veilmark.releases.review import release_endorse, release_propose, release_suspend, release_vote
from veilmark.releases.selectors import bundle_folder, bundle_zip, certificate_root_path, trust_root_path
from veilmark.releases.services import release_send_to_clinicians, release_withdraw
from veilmark.releases.trust_roots import roots_folder
from veilmark.synthetic_sets.selectors import set_folder

pytestmark = [pytest.mark.django_db, pytest.mark.database]
OFFICERS = ("officer", "second_officer")
PASSWORD = "a long enough passphrase"


@pytest.fixture
def approved(walked: Any) -> Any:
    """Voted for and signed by two officers; the job that publishes it waits."""
    release = walked.release
    release_send_to_clinicians(release=release, acting_user=walked.people["custodian"])
    for name in OFFICERS:
        release_vote(release=release, vote="approve", reason="the evidence holds", acting_user=walked.people[name])
    signed = {"digest": walked.audit_run.content_root, "meaning": "reviewed and approved", "password": PASSWORD}
    for name in OFFICERS:
        release_endorse(release=release, acting_user=walked.people[name], **signed)
    return walked


@pytest.fixture
def published(approved: Any, run_jobs: Callable[[], int]) -> Any:
    assert run_jobs() == 2, "it is published, and receivers are told whom to believe"
    approved.release.refresh_from_db()
    assert approved.release.state == "released", approved.release.job.error
    return approved


def verify(path: Path) -> subprocess.CompletedProcess[str]:
    """As a receiver does: another process, no Django."""
    command = [sys.executable, "-m", "veilmark.client", "verify", str(path), "--trust-root", str(trust_root_path())]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_receiver_finds_the_bundle_authentic(published):
    for path in (bundle_folder(published.release), bundle_zip(published.release)):
        result = verify(path)
        assert result.returncode == 0, result.stdout + result.stderr
    assert published.release.decision.phase == "signing"
    assert published.release.decision.outcome == "PASS"


def test_every_file_of_the_bundle_is_signed_for(published):
    names = {path.relative_to(bundle_folder(published.release)).as_posix() for path in files_of(published)}
    for name in ("manifest.json", "decision.json", "croissant.json", "datasheet.md", "report/report.json"):
        assert name in names
    assert sum(name.endswith(".png") for name in names) == sum(name.endswith(".dcm") for name in names) == 120


def test_the_sites_log_holds_the_images_and_agrees_with_the_bundle(published):
    log = LogFolder(log_folder())
    manifest = parse_manifest((bundle_folder(published.release) / "manifest.json").read_bytes(), where="manifest")
    head = parse_checkpoint(log.read("checkpoint"), where="checkpoint")
    entries = image_entries(manifest.images, release_id=manifest.release_id)
    assert log.entries(head.size - len(entries), head.size, size=head.size) == entries
    trusted = TrustRoot.read(trust_root_path())
    assert list(check_log(log, trusted.identities)) == []
    checked = verify_path(bundle_zip(published.release), trust_root=trusted, checkpoint=log_folder() / "checkpoint")
    assert checked.exit_code == 0


def test_the_bill_of_materials_names_the_generator_and_no_private_digest(published):
    run = published.release.synthetic_set.training_run
    text = (bundle_folder(published.release) / "bom.json").read_text()
    model = json.loads(text)["components"][0]
    assert model["name"] == run.generator
    assert model["hashes"][0]["content"] == run.generator_digest.removeprefix("sha256:")
    assert run.card["data_digest"].removeprefix("sha256:") not in text


def test_every_image_file_is_signed_on_its_own(published, require_program):
    """By tools of others, with the one certificate that the site hands out."""
    images, root = bundle_folder(published.release) / "images", certificate_root_path()
    trusted = {"trust": {"trust_anchors": root.read_text()}, "verify": {"remote_manifest_fetch": False}}
    context = c2pa.Context.from_dict(trusted)
    names = sorted(path.stem for path in images.glob("*.png"))
    assert sorted(path.stem for path in images.glob("*.c2pa")) == names
    for name in names[::30]:
        dicom = (images / f"{name}.dcm").read_bytes()
        beside = c2pa.Reader(
            "application/dicom", io.BytesIO(dicom), (images / f"{name}.c2pa").read_bytes(), context=context
        )
        inside = c2pa.Reader("image/png", io.BytesIO((images / f"{name}.png").read_bytes()), context=context)
        assert (beside.get_validation_state(), inside.get_validation_state()) == ("Trusted", "Trusted")
    dcmsign = require_program("dcmsign", "dcmtk")
    command = [dcmsign, "--verify", "+rc", "+cf", root, images / f"{names[0]}.dcm"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_openssl_and_a_second_ml_dsa_accept_the_release(published, tmp_path, require_program):
    """What a receiver who trusts none of this code can do: the envelope and the pinned keys are all it takes."""
    openssl = require_program("openssl", "openssl")
    envelope = json.loads((bundle_folder(published.release) / "envelopes" / "release.json").read_bytes())
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    first, second = (base64.b64decode(row["sig"]) for row in envelope["signatures"])
    (identity,) = TrustRoot.read(trust_root_path()).identities
    key = Ed25519PublicKey.from_public_bytes(identity.keys[Algorithm.ED25519])
    (tmp_path / "key.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "signature").write_bytes(first)
    command = [openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-sigfile", "signature"]
    assert subprocess.run([*command, "-in", "message"], cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert ML_DSA_65.verify(identity.keys[Algorithm.ML_DSA_65], message, second)


def files_of(published: Any) -> list[Path]:
    return [path for path in bundle_folder(published.release).rglob("*") if path.is_file()]


def test_nothing_exact_of_real_people_is_in_it(published):
    """privacy.md 3: no count of private people; no digest of private data, no code of a person."""
    cohort = published.cohort
    exact = {cohort.n_subjects, cohort.n_images, *cohort.n_subjects_by_split.values()}
    # A rounded count is public, and up to 120 a figure may number one of the 120 synthetic images.
    exact = {n for n in exact if n % 10 and n > 120}
    assert len(exact) >= 2, "the fixture's counts must not all be round"
    codes = set(cohort_images(cohort).subject)
    for path in files_of(published):
        if path.suffix not in (".json", ".md", ".html"):
            continue
        text = path.read_text()
        assert cohort.data_digest not in text, path
        assert not [code for code in codes if code in text], path
        found = set(numbers_of(json.loads(text))) if path.suffix == ".json" else set()
        if path.suffix == ".md":
            found = {int(word) for word in re.findall(r"\b\d+\b", text)}
        assert not exact & found, path


def numbers_of(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers_of(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers_of(part)]
    return [value] if isinstance(value, int | float) else []


def change_png(folder: Path) -> None:
    path = min((folder / "images").glob("*.png"))
    with Image.open(path) as image:
        pixels, text = np.asarray(image).copy(), image.text
    pixels[0, 0] ^= 1
    chunks = PngImagePlugin.PngInfo()
    for key, value in text.items():
        chunks.add_itxt(key, value)
    Image.fromarray(pixels).save(path, pnginfo=chunks)


def change_dicom(folder: Path) -> None:
    path = min((folder / "images").glob("*.dcm"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def remove_one(folder: Path) -> None:
    min((folder / "images").glob("*.dcm")).unlink()


def swap_two(folder: Path) -> None:
    first, second = sorted((folder / "images").glob("*.png"))[:2]
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


@pytest.fixture
def spoil(walked: Any, tmp_path: Path) -> Iterator[Callable[[Callable[[Path], None]], None]]:
    """`spoil(change)`: change the set's final files; they are put back after the test."""
    folder = set_folder(walked.synthetic_set)
    shutil.copytree(folder, tmp_path / "kept")
    yield lambda change: change(folder)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "kept", folder)


@pytest.mark.parametrize("change", [change_png, change_dicom, remove_one, swap_two], ids=lambda change: change.__name__)
def test_files_that_changed_after_the_audit_are_not_published(approved, run_jobs, spoil, change):
    spoil(change)
    run_jobs()
    assert_unpublished(approved.release, state="approved")
    assert approved.release.job.state == "failed"
    assert ".png" in approved.release.job.error or ".dcm" in approved.release.job.error


def assert_unpublished(release: Release, *, state: str) -> None:
    release.refresh_from_db()
    assert (release.state, release.manifest_digest, release.published_at) == (state, "", None)
    assert not bundle_folder(release).exists()
    assert not bundle_zip(release).exists()


def test_a_release_withdrawn_while_it_is_signed_stays_withdrawn(approved):
    def withdraw(done: int, total: int, message: str = "") -> None:
        if done == 1:
            mine = Release.objects.get(pk=approved.release.pk)
            release_withdraw(release=mine, reason="a doubt", acting_user=approved.people["custodian"])

    with pytest.raises(StateError, match="cannot go from withdrawn to released"):
        release_publish(release=approved.release, progress=withdraw)
    assert_unpublished(approved.release, state="withdrawn")


def test_an_old_signature_does_not_publish(approved, run_jobs):
    """21 CFR 11.200(a): the password was entered just before signing, or the rules refuse."""
    approved.release.endorsements.update(reauthenticated_at=timezone.now() - timedelta(minutes=6))
    run_jobs()
    assert_unpublished(approved.release, state="approved")
    assert "re-authenticated" in approved.release.job.error


def test_an_endorser_who_has_an_interest_does_not_publish(approved, run_jobs):
    approved.training_run.trainer = approved.people["officer"]
    approved.training_run.save()
    run_jobs()
    assert_unpublished(approved.release, state="approved")
    assert "separation-of-duties" in approved.release.job.error


def test_without_the_stamp_that_is_asked_for_nothing_is_published(approved, run_jobs, settings):
    settings.VEILMARK_STAMP_URL = "http://127.0.0.1:1/stamp"
    run_jobs()
    assert_unpublished(approved.release, state="approved")
    assert "http://127.0.0.1:1/stamp: cannot be reached" in approved.release.job.error


def trusted() -> TrustRoot:
    return TrustRoot.read(trust_root_path())


def test_two_officers_recall_it_and_a_receiver_is_told(published, run_jobs):
    release, before = published.release, published.release.bundle_digest
    release_propose(
        release=release, target="revoked", reason="a copy was found", acting_user=published.people["officer"]
    )
    assert verify(bundle_zip(release)).returncode == 0, "one officer is not enough"
    release_propose(
        release=release, target="revoked", reason="confirmed", acting_user=published.people["second_officer"]
    )
    run_jobs()
    release.refresh_from_db()
    assert (release.state, release.state_reason) == ("revoked", "confirmed")
    assert release.bundle_digest not in ("", before)
    for path in (bundle_folder(release), bundle_zip(release)):
        result = verify(path)
        assert result.returncode == 13, result.stdout
        assert "recalled" in result.stdout
    log = LogFolder(log_folder())
    head = parse_checkpoint(log.read("checkpoint"), where="checkpoint")
    recall = digest_of((bundle_folder(release) / "recall.json").read_bytes())
    assert read_published(roots_folder()).says(Roots(trust_root=trusted(), revoked=(release.manifest_digest,)))
    entry = statement_entry(release_id=release.synthetic_set.public_id, digest=recall)
    assert log.entries(head.size - 1, head.size, size=head.size) == [entry], "the whole world may know of the recall"
    assert Event.objects.latest("sequence").kind in ("release:recalled", "job:done")


def test_reinstating_evaluates_the_rules_again(published):
    release, people = published.release, published.people
    release_suspend(release=release, reason="a doubt", acting_user=people["officer"])
    published.cohort.licence_permits_derivatives = False
    published.cohort.save()
    again = {"release": release, "target": "released", "reason": "the doubt is gone"}
    release_propose(**again, acting_user=people["officer"])
    with pytest.raises(StateError, match="licence-derivatives"):
        release_propose(**again, acting_user=people["second_officer"])
    release.refresh_from_db()
    assert release.state == "suspended"
    published.cohort.licence_permits_derivatives = True
    published.cohort.save()
    release_propose(**again, acting_user=people["second_officer"])
    release.refresh_from_db()
    assert release.state == "released"
