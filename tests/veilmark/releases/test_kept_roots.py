"""What receivers are told is kept current by jobs: after each change, daily, and before the root's year is over."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from veilmark.core.keys import key_provider
from veilmark.crypto.base import CryptoError
from veilmark.jobs.daily import daily_enqueue
from veilmark.jobs.models import Job
from veilmark.jobs.services import job_enqueue
from veilmark.ledger.models import Event
from veilmark.provenance.errors import RootsError
from veilmark.provenance.roots.client import update_roots
from veilmark.provenance.roots.content import Roots
from veilmark.provenance.roots.repository import read_published
from veilmark.releases.models import Release
from veilmark.releases.trust_roots import KEEP_TASK, roots_folder, roots_keep, roots_line, roots_publish, roots_rotate

pytestmark = [pytest.mark.django_db, pytest.mark.database]
DIGEST = "sha256:" + "ab" * 32
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def var_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.VEILMARK_VAR = tmp_path / "var"


@pytest.fixture
def receiver(tmp_path: Path) -> Path:
    """Somebody who pinned the first root."""
    assert roots_keep()
    folder = tmp_path / "receiver"
    update_roots(folder, str(roots_folder()), pinned=(roots_folder() / "metadata" / "1.root.json").read_bytes())
    return folder


def update(receiver: Path) -> Roots:
    return update_roots(receiver, str(roots_folder()))


def signed() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (roots_folder() / "metadata").iterdir()}


def kinds() -> list[str]:
    return [kind for kind in Event.objects.values_list("kind", flat=True) if kind.startswith("trust_root:")]


def keys_of(name: str) -> list[Path]:
    return sorted((roots_folder().parent / "keys").glob(f"signing-{name}*"))


def test_kept_twice_is_kept_once(receiver: Path) -> None:
    before = signed()
    assert not roots_keep()
    assert signed() == before
    assert kinds() == ["trust_root:published"]


def test_the_statement_of_time_is_signed_anew_every_day(receiver: Path) -> None:
    now = datetime.now(UTC)
    assert not roots_keep(now + 11 * HOUR)
    assert roots_keep(now + 13 * HOUR)
    assert read_published(roots_folder()).expires > now + 30 * DAY
    assert kinds() == ["trust_root:published", "trust_root:renewed"]
    update(receiver)


@pytest.mark.usefixtures("released")
def test_what_changed_is_said_by_the_next_job(receiver: Path, run_jobs: Any) -> None:
    Release.objects.update(state="revoked", manifest_digest=DIGEST)
    for _ in range(2):
        job_enqueue(task=KEEP_TASK, arguments={}, acting_user=None)
    assert run_jobs() == 2
    assert update(receiver).revoked == (DIGEST,)
    assert kinds() == ["trust_root:published"] * 2, "the second job found nothing left"


def test_the_operators_page_says_until_when_it_is_believed(people: Any, visit: Any) -> None:
    assert "not published yet" in visit(people.operator, "/").content.decode()
    for age, line in ((DAY, "signed until"), (40 * DAY, "expired on")):
        roots_keep(datetime.now(UTC) - age)
        expires = read_published(roots_folder()).expires
        assert f"{line} {expires:%Y-%m-%d}" in visit(people.operator, "/").content.decode()
        shutil.rmtree(roots_folder())


def test_the_day_begins_with_roots_where_there_were_none(run_jobs: Any) -> None:
    daily_enqueue()
    run_jobs()
    assert read_published(roots_folder()) is not None
    assert not Job.objects.exclude(error="").exists()


def test_a_new_identity_is_published_without_a_command(receiver: Path, settings: Any) -> None:
    settings.VEILMARK_SIGNING_KEY = "release-2"
    assert roots_keep()
    assert len(update(receiver).trust_root.identities) == 2


@pytest.mark.parametrize("key", ["signing-roots-1-online.key", "signing-roots-1-targets.ml-dsa-65.key"])
def test_a_key_that_is_away_stops_it_in_one_line_and_is_never_made_anew(
    receiver: Path, run_jobs: Any, settings: Any, tmp_path: Path, key: str
) -> None:
    path, before = roots_folder().parent / "keys" / key, signed()
    path.rename(tmp_path / key)
    settings.VEILMARK_SIGNING_KEY = "release-2"
    daily_enqueue()
    run_jobs()
    job = Job.objects.get(task=KEEP_TASK)
    assert job.state == "failed"
    assert "of the trust roots: is not at hand; bring it back" in job.error
    assert "\n" not in job.error
    assert (signed(), path.exists()) == (before, False)
    (tmp_path / key).rename(path)
    assert roots_keep()
    assert len(update(receiver).trust_root.identities) == 2


def test_without_the_roots_own_keys_all_but_the_root_goes_on(receiver: Path, settings: Any, tmp_path: Path) -> None:
    """They are better kept elsewhere: only handing over needs them."""
    for path in (*keys_of("roots-1-first"), *keys_of("roots-1-second")):
        path.rename(tmp_path / path.name)
    settings.VEILMARK_SIGNING_KEY = "release-2"
    assert roots_keep()
    assert len(update(receiver).trust_root.identities) == 2
    with pytest.raises(CryptoError, match="key roots-1-first of the trust roots: is not at hand"):
        roots_rotate()
    assert not key_provider().has_signing_key("roots-1-first")
    late = datetime.now(UTC) + 310 * DAY
    with pytest.raises(CryptoError, match="is not at hand"):
        roots_keep(late)
    assert read_published(roots_folder()).expires > late, "the statement of time was renewed all the same"


def test_before_its_year_is_over_the_root_hands_over_to_new_keys(receiver: Path) -> None:
    now = datetime.now(UTC)
    assert roots_keep(now + 310 * DAY)
    assert kinds() == ["trust_root:published", "trust_root:renewed", "trust_root:rotated"]
    update(receiver)
    assert read_published(roots_folder()).root_expires > now + 600 * DAY
    assert not roots_keep(now + 310 * DAY)


def test_other_keys_under_the_same_names_sign_nothing(receiver: Path) -> None:
    before = signed()
    for path in keys_of("roots-1-online"):
        path.unlink()
    key_provider().signing_key("roots-1-online")
    for algorithm in ("ed25519", "ml-dsa-65"):
        key_provider().signing_key("roots-1-online", algorithm)
    with pytest.raises(RootsError, match="the keys at hand are not those that the root names"):
        roots_publish()
    assert signed() == before
    update(receiver)


@pytest.mark.parametrize("cut", ["timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_what_was_cut_short_at_first_is_ended_the_next_time(cut: str, tmp_path: Path) -> None:
    roots_keep()
    names = ["timestamp.json", "1.snapshot.json", "1.targets.json"]
    for name in names[: names.index(cut) + 1]:
        (roots_folder() / "metadata" / name).unlink()
    assert roots_keep()
    pinned = (roots_folder() / "metadata" / "1.root.json").read_bytes()
    update_roots(tmp_path / "receiver", str(roots_folder()), pinned=pinned)


def test_a_damaged_folder_is_a_refusal(receiver: Path, run_jobs: Any) -> None:
    (roots_folder() / "metadata" / "1.targets.json").write_text("{}")
    daily_enqueue()
    run_jobs()
    assert "roots: cannot be read; restore the folder from a copy" in Job.objects.get(task=KEEP_TASK).error
    assert roots_line().endswith("roots: cannot be read; restore the folder from a copy")
    shutil.rmtree(roots_folder())
    assert roots_keep()
