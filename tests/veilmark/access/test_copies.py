"""A grant's own copy, made of a real bundle; and what officers learn from images that leaked out of it."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.utils import timezone
from PIL import Image

from veilmark.access.copies import copy_ask, copy_require
from veilmark.access.leaks import NOBODY, leak_examine
from veilmark.access.models import Grant, GrantCopy
from veilmark.access.selectors import copy_zip
from veilmark.access.services import agreement_accept, grant_renew, grant_revoke, request_create, request_decide
from veilmark.access.sweep import access_sweep
from veilmark.accounts.services import api_token_create, person_create
from veilmark.core.errors import ApplicationError, NotAllowedError
from veilmark.core.keys import secret_of, signing_identity
from veilmark.core.transparency import site_log
from veilmark.ledger.models import Event
from veilmark.provenance.bundle import write_bundle
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.documents import Evidence, ReleaseInfo
from veilmark.provenance.prepared import prepare_images
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verify import verify_path
from veilmark.releases.review import release_suspend

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
AT = "2026-11-21T09:30:00Z"
N = 4


def textured(n: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    field = np.kron(rng.integers(40, 200, (n, size // 8, size // 8)), np.ones((1, 8, 8)))
    images: np.ndarray = (field + rng.integers(0, 40, (n, size, size))).astype(np.uint8)
    return images


@pytest.fixture
def real_release(released: Any, tmp_path: Any) -> Any:
    """`released` with a bundle that is one: four images of 128 px as PNG and DICOM, signed by this site."""
    from veilmark.releases.selectors import bundle_folder, trust_root_path

    name = released.synthetic_set.public_id
    prepared = prepare_images(
        tmp_path / "prepared",
        images=textured(N, 128),
        metadata=[ImageMetadata(release_id=name, image_id=f"{name}-{row:06d}", label="normal") for row in range(N)],
        mark_release=released.synthetic_set.serial,
        created_at=AT,
        writers=[DicomWriter(generator="g", version="1")],
    )
    shutil.rmtree(bundle_folder(released), ignore_errors=True)
    signer = signing_identity("release")
    info = ReleaseInfo(
        release_id=name, created_at=AT, title="Chests", description="Blocks.", licence="CC0", creator="Test hospital"
    )
    bundle = write_bundle(
        bundle_folder(released),
        prepared=prepared,
        endorsed_root=prepared.merkle_root,
        release=info,
        signer=signer,
        log=site_log(),
        evidence=Evidence(decision={}, report={}, report_html="<!doctype html><title>report</title>"),
    )
    TrustRoot.of(signer, created_at=AT).write(trust_root_path())
    released.manifest_digest = bundle.manifest_digest
    released.save(update_fields=["manifest_digest"])
    return released


def granted(people: Any, release: Any, researcher: Any) -> Grant:
    agreement_accept(acting_user=researcher)
    asked = request_create(release=release, purpose="research", project="a classifier", acting_user=researcher)
    request_decide(request=asked, approve=True, reason="a permitted purpose", acting_user=people.officer)
    return Grant.objects.get(request=asked)


@pytest.fixture
def prepared_grant(people: Any, real_release: Any, run_jobs: Any) -> Grant:
    grant = granted(people, real_release, people.researcher)
    assert not grant.copy.is_ready
    run_jobs()
    grant = Grant.objects.get(pk=grant.pk)
    assert grant.copy.is_ready, grant.copy.error
    return grant


def images_of(grant: Grant, suffix: str = ".png") -> dict[str, bytes]:
    with zipfile.ZipFile(copy_zip(grant.copy)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(suffix)}


def pixels_of(grant: Grant) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in images_of(grant).values()])


def worn(data: bytes, quality: int = 60) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("L").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def test_a_copy_is_prepared_verified_and_on_record(people, prepared_grant, real_release):
    copy = prepared_grant.copy
    root = TrustRoot.read(settings.VEILMARK_VAR / "trust-root.json")
    result = verify_path(copy_zip(copy), trust_root=root)
    assert (result.exit_code, result.grant_id) == (0, str(copy.public_id))
    assert result.release_id == real_release.synthetic_set.public_id
    event = Event.objects.get(kind="grant_copy:finished")
    assert event.payload["release_manifest"] == real_release.manifest_digest
    assert event.payload["bundle_digest"] == copy.bundle_digest
    assert len(images_of(prepared_grant)) == len(images_of(prepared_grant, ".dcm")) == N
    assert [path.name for path in copy_zip(copy).parent.glob(f"*{copy.pk}*")] == [f"{copy.pk}.zip"]


def test_nothing_in_a_copy_names_the_person(people, prepared_grant):
    with zipfile.ZipFile(copy_zip(prepared_grant.copy)) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    for name in (people.researcher.username, str(people.researcher.pk), str(prepared_grant.pk)):
        assert name.encode() not in content


def test_two_grants_differ_and_one_made_again_does_not(people, real_release, prepared_grant, run_jobs):
    other = granted(people, real_release, person_create(username="other", password=people.password, role="researcher"))
    run_jobs()
    other.refresh_from_db()
    ours, pixels = images_of(prepared_grant), pixels_of(prepared_grant)
    assert not set(ours.values()) & set(images_of(other).values())
    copy_zip(prepared_grant.copy).unlink()
    GrantCopy.objects.filter(grant=prepared_grant).update(bundle_digest="")
    copy_ask(grant=prepared_grant, acting_user=people.researcher)
    run_jobs()
    assert images_of(Grant.objects.get(pk=prepared_grant.pk)).keys() == ours.keys()
    assert np.array_equal(pixels_of(prepared_grant), pixels)


def test_asking_twice_is_asking_once(people, real_release):
    grant = granted(people, real_release, people.researcher)
    assert copy_ask(grant=grant, acting_user=people.researcher).job_id == grant.copy.job_id
    assert GrantCopy.objects.count() == 1


def test_a_copy_goes_with_its_grant(people, prepared_grant):
    grant_revoke(grant=prepared_grant, reason="the project ended", acting_user=people.officer)
    assert not copy_zip(prepared_grant.copy).exists()
    assert GrantCopy.objects.get().bundle_digest == ""


def test_a_copy_whose_time_is_over_is_deleted_and_comes_back_when_it_is_renewed(people, prepared_grant, run_jobs):
    before = pixels_of(prepared_grant)
    Grant.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    access_sweep()
    assert not copy_zip(prepared_grant.copy).exists()
    grant_renew(grant=prepared_grant, n_days=30, reason="the project goes on", acting_user=people.officer)
    run_jobs()
    renewed = Grant.objects.get(pk=prepared_grant.pk)
    assert renewed.copy.is_ready, renewed.copy.error
    root = TrustRoot.read(settings.VEILMARK_VAR / "trust-root.json")
    assert verify_path(copy_zip(renewed.copy), trust_root=root).grant_id == str(prepared_grant.copy.public_id)
    assert np.array_equal(pixels_of(renewed), before), "the same recipient, the same layer"


def altered(release: Any) -> None:
    from veilmark.releases.selectors import bundle_folder

    image = next((bundle_folder(release) / "images").glob("*.png"))
    image.write_bytes(image.read_bytes()[:-1] + b"?")


def suspended(release: Any) -> None:
    from veilmark.accounts.models import User

    release_suspend(release=release, reason="a doubt", acting_user=User.objects.get(username="officer"))


@pytest.mark.parametrize(("change", "line"), [(altered, "changed since it was released"), (suspended, "is suspended")])
def test_what_cannot_be_prepared_says_why(people, real_release, run_jobs, api, change, line):
    grant = granted(people, real_release, people.researcher)
    change(real_release)
    run_jobs()
    copy = GrantCopy.objects.get()
    assert (copy.state, copy.is_ready) == ("failed", False)
    assert line in copy.error
    assert not copy_zip(copy).exists()
    assert line in api(people.researcher, "get", f"grants/{grant.pk}/").json()["copy_error"]
    assert api(people.researcher, "get", f"grants/{grant.pk}/download/").status_code == 409


def test_a_researcher_has_a_copy_prepared_anew(people, prepared_grant, api, visit, run_jobs):
    GrantCopy.objects.update(bundle_digest="")
    page = visit(people.researcher, f"/access/grants/{prepared_grant.pk}/").content.decode()
    assert "Prepare my copy" in page
    assert visit(people.researcher, f"/access/grants/{prepared_grant.pk}/prepare/", {}).status_code == 302
    answer = api(people.researcher, "post", f"grants/{prepared_grant.pk}/prepare/")
    assert (answer.status_code, answer.json()["bundle_digest"]) == (202, "")
    run_jobs()
    assert "Download the bundle" in visit(people.researcher, f"/access/grants/{prepared_grant.pk}/").content.decode()
    other = person_create(username="other", password=people.password, role="researcher")
    assert api(other, "post", f"grants/{prepared_grant.pk}/prepare/").status_code == 404


def test_a_leak_names_release_image_and_recipient(people, real_release, prepared_grant, run_jobs):
    granted(people, real_release, person_create(username="other", password=people.password, role="researcher"))
    (name, data), *_ = images_of(prepared_grant).items()
    inquiry = leak_examine(files=[("leak.jpg", worn(data))], acting_user=people.officer)
    (file,), (named,) = inquiry.files, inquiry.named
    assert (file.release, f"images/{file.image_id}.png") == ("chest-1", name)
    assert (named.recipient, named.grant) == ("researcher", str(prepared_grant.pk))
    assert named.false_accusation_rate < inquiry.false_accusation_rate == 1e-6
    assert inquiry.n_recipients == 2
    event = Event.objects.get(kind="leak:examined")
    assert event.actor == people.officer
    assert event.payload["files"] == [file.digest]
    assert event.payload["grants_named"] == [str(prepared_grant.pk)]


@pytest.mark.parametrize("suffix", [".png", ".dcm"])
def test_every_kind_of_file_names_its_recipient(people, prepared_grant, suffix):
    inquiry = leak_examine(files=list(images_of(prepared_grant, suffix).items()), acting_user=people.officer)
    assert [row.recipient for row in inquiry.named] == ["researcher"]
    assert len(inquiry.files) == N


def test_a_copy_that_is_gone_still_names_its_recipient(people, prepared_grant):
    leaked = list(images_of(prepared_grant).items())
    grant_revoke(grant=prepared_grant, reason="the project ended", acting_user=people.officer)
    assert [row.recipient for row in leak_examine(files=leaked, acting_user=people.officer).named] == ["researcher"]


def test_what_names_nobody_says_so_and_is_on_record(people, real_release, prepared_grant):
    from veilmark.releases.selectors import bundle_folder

    original = next((bundle_folder(real_release) / "images").glob("*.png")).read_bytes()
    unmarked = io.BytesIO()
    Image.fromarray(textured(9, 128)[8]).save(unmarked, "PNG")
    without_layer = leak_examine(files=[("original.png", original)], acting_user=people.officer)
    assert (without_layer.answer, list(without_layer.named)) == (NOBODY, [])
    assert without_layer.files[0].release == "chest-1"
    without_mark = leak_examine(files=[("another.png", unmarked.getvalue())], acting_user=people.officer)
    assert without_mark.answer.startswith("no mark of a granted release was found, which proves nothing")
    assert Event.objects.filter(kind="leak:examined").count() == 2


@pytest.mark.parametrize("role", ["custodian", "clinician", "operator", "researcher"])
def test_officers_alone_may_ask(people, prepared_grant, role):
    with pytest.raises(NotAllowedError):
        leak_examine(files=[("leak", b"")], acting_user=getattr(people, role))
    assert not Event.objects.filter(kind="leak:examined").exists()


@pytest.mark.parametrize(
    ("files", "line"),
    [([], "0 files; give 1 to 100"), ([("a", b"x")] * 101, "101 files"), ([("a.png", b"no image")], "a.png: is no")],
    ids=["none", "too many", "no image"],
)
def test_files_that_are_refused(people, files, line):
    with pytest.raises(Exception, match=line) as refused:
        leak_examine(files=files, acting_user=people.officer)
    assert hasattr(refused.value, "remedy")


def test_through_the_api_the_page_and_the_command(people, prepared_grant, api, client, visit, tmp_path, capsys):
    (_, data), *_ = images_of(prepared_grant).items()
    token = api_token_create(user=people.officer)
    sent = {"images": [SimpleUploadedFile("leak.png", data)]}
    answer = client.post("/api/v1/leaks/", sent, headers={"Authorization": f"Token {token}"})
    assert (answer.status_code, answer.json()["named"][0]["recipient"]) == (200, "researcher")
    page = visit(people.officer, "/access/leaks/", {"images": [SimpleUploadedFile("leak.png", data)]}).content.decode()
    assert "From the copy of researcher" in page
    assert visit(people.officer, "/access/leaks/", {}).status_code == 400
    assert visit(people.researcher, "/access/leaks/").status_code == 403
    (tmp_path / "leak.png").write_bytes(data)
    call_command("extract", str(tmp_path / "leak.png"), "--officer", "officer", "--json")
    assert json.loads(capsys.readouterr().out)["named"][0]["release"] == "chest-1"
    call_command("extract", str(tmp_path / "leak.png"), "--officer", "officer")
    assert "recipient researcher" in capsys.readouterr().out
    Image.new("L", (64, 64)).save(tmp_path / "black.png")
    with pytest.raises(SystemExit) as ended:
        call_command("extract", str(tmp_path / "black.png"), "--officer", "officer")
    assert ended.value.code == 14
    with pytest.raises(NotAllowedError):
        call_command("extract", str(tmp_path / "leak.png"), "--officer", "custodian")
    for arguments in ([str(tmp_path / "leak.png"), "--officer", "nobody"], ["/nowhere", "--officer", "officer"]):
        with pytest.raises(ApplicationError):
            call_command("extract", *arguments)


def test_the_secret_is_made_once_and_wrapped_at_rest():
    secret = secret_of("tracing")
    assert (len(secret), secret_of("tracing")) == (32, secret)
    assert secret_of("another") != secret
    path = settings.VEILMARK_VAR / "keys" / "secret-tracing.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret not in path.read_bytes()


def test_a_grant_that_ended_while_its_copy_was_made_gets_none(people, real_release, run_jobs):
    grant = granted(people, real_release, people.researcher)
    Grant.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    run_jobs()
    copy = GrantCopy.objects.get(grant=grant)
    assert "the grant has ended" in copy.error
    with pytest.raises(NotAllowedError):
        copy_require(grant=Grant.objects.get(), acting_user=people.researcher)
