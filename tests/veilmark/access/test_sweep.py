"""What time and recalls do to grants and their copies, through the jobs that a worker runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from veilmark.access.models import Grant, GrantCopy
from veilmark.access.selectors import copy_zip
from veilmark.access.services import MAX_GRANT_DAYS, grant_renew, grant_revoke
from veilmark.access.sweep import access_sweep, copy_discard
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.jobs.daily import daily_enqueue
from veilmark.jobs.models import Job
from veilmark.ledger.models import Event
from veilmark.releases.review import release_propose, release_suspend

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.fixture(autouse=True)
def var_of_its_own(settings: Any, tmp_path: Any) -> None:
    settings.VEILMARK_VAR = tmp_path / "var"


def end(grant: Grant) -> None:
    Grant.objects.filter(pk=grant.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def recall(people: Any, release: Any) -> None:
    for officer in (people.officer, people.second_officer):
        release_propose(release=release, target="revoked", reason="a copy was found", acting_user=officer)


def events(kind: str) -> list[dict[str, Any]]:
    return [event.payload for event in Event.objects.filter(kind=kind)]


def test_the_day_takes_the_copies_of_grants_that_have_ended(grant, run_jobs):
    digest = grant.copy.bundle_digest
    end(grant)
    daily_enqueue()
    assert run_jobs() == 2, "the roots and the copies"
    copy = GrantCopy.objects.get()
    assert not copy_zip(copy).exists()
    assert (copy.bundle_digest, copy.state) == ("", "done")
    assert events("grant_copy:deleted") == [
        {"grant": str(grant.pk), "bundle_digest": digest, "reason": "the grant has ended"}
    ]
    assert len(events("grant:expired")) == 1
    assert Grant.objects.get().request.state == "expired"
    n_events = Event.objects.count()
    access_sweep()
    assert Event.objects.count() == n_events, "nothing is left to do, nothing to record"


def test_a_day_asks_once(grant):
    now = timezone.now()
    for _ in range(3):
        daily_enqueue(now)
    assert sorted(Job.objects.values_list("task", flat=True)) == ["access:sweep", "releases:keep_roots"]
    daily_enqueue(now + timedelta(days=1))
    assert Job.objects.count() == 4


def test_open_grants_keep_their_copies_also_while_the_release_is_suspended(people, grant):
    access_sweep()
    release_suspend(release=grant.request.release, reason="a doubt", acting_user=people.officer)
    access_sweep()
    assert copy_zip(grant.copy).exists()
    assert events("grant_copy:deleted") == []
    assert not Job.objects.filter(task="access:prepare").exists()


def test_a_recall_takes_every_copy_and_says_so(people, grant, run_jobs, api, visit):
    assert api(people.researcher, "get", f"grants/{grant.pk}/").json()["recalled"] == ""
    recall(people, grant.request.release)
    refused = api(people.researcher, "get", f"grants/{grant.pk}/download/")
    assert refused.status_code == 409, "from the second officer's motion on, whatever the jobs do"
    assert refused.json()["what"] == "was recalled (a copy was found)"
    run_jobs()
    assert not copy_zip(grant.copy).exists()
    assert events("grant_copy:deleted")[0]["reason"] == "the release is revoked"
    assert api(people.researcher, "post", f"grants/{grant.pk}/prepare/").status_code == 409
    assert api(people.researcher, "get", f"grants/{grant.pk}/").json()["recalled"] == "a copy was found"
    page = visit(people.researcher, f"/access/grants/{grant.pk}/").content.decode()
    assert "This release was recalled: a copy was found." in page
    assert "Download" not in page.partition("<h2>Downloads")[0]


def test_a_file_that_was_lost_is_made_again(grant):
    copy_zip(grant.copy).unlink()
    access_sweep()
    assert Job.objects.get(task="access:prepare").state == "enqueued"
    assert GrantCopy.objects.get().state == "enqueued"
    assert events("grant_copy:deleted")[0]["reason"] == "the file was lost"


def test_a_deletion_that_was_cut_short_is_ended(grant):
    """Its file is gone, its row does not know yet."""
    end(grant)
    copy_zip(grant.copy).unlink()
    access_sweep()
    assert GrantCopy.objects.get().bundle_digest == ""
    copy_discard(grant, "again")
    assert len(events("grant_copy:deleted")) == 1


def test_an_officer_renews_a_grant(people, grant, api, visit, run_jobs):
    end(grant)
    access_sweep()
    body = {"reason": "the project goes on", "n_days": 10}
    answer = api(people.officer, "post", f"grants/{grant.pk}/renew/", body)
    assert (answer.status_code, answer.json()["is_open"]) == (200, True)
    renewed = Grant.objects.get()
    assert timedelta(days=9) < renewed.expires_at - timezone.now() <= timedelta(days=10)
    assert (renewed.request.state, renewed.copy.state) == ("approved", "enqueued")
    assert events("grant:renewed") == [body]
    assert visit(people.officer, f"/access/grants/{grant.pk}/renew/", body | {"n_days": 20}).status_code == 302
    assert Grant.objects.get().expires_at - timezone.now() > timedelta(days=19)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        pytest.param({"n_days": 0}, ApplicationError, id="no days"),
        pytest.param({"n_days": MAX_GRANT_DAYS + 1}, ApplicationError, id="too many days"),
        pytest.param({"reason": " "}, ApplicationError, id="no reason"),
        pytest.param({"acting_user": "researcher"}, NotAllowedError, id="one's own"),
    ],
)
def test_a_renewal_that_is_refused(people, grant, change, refusal):
    wanted = {"n_days": 10, "reason": "r", "acting_user": "officer"} | change
    with pytest.raises(refusal):
        grant_renew(grant=grant, **wanted | {"acting_user": getattr(people, wanted["acting_user"])})
    assert events("grant:renewed") == []


@pytest.mark.parametrize("how", ["revoked", "recalled"])
def test_what_was_taken_back_is_not_renewed(people, grant, how):
    if how == "revoked":
        grant_revoke(grant=grant, reason="misuse", acting_user=people.officer)
    else:
        recall(people, grant.request.release)
    with pytest.raises(StateError, match="is revoked"):
        grant_renew(grant=grant, n_days=10, reason="r", acting_user=people.officer)
