"""Access through the API: request, grant, download whole and in ranges, and everybody who is refused."""

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from veilmark.access import agreement
from veilmark.access.models import AccessRequest, Download, Grant
from veilmark.access.selectors import copy_zip
from veilmark.access.services import grant_revoke, request_create, request_decide
from veilmark.accounts.services import api_token_create, person_create
from veilmark.ledger.models import Event
from veilmark.releases.review import release_propose, release_suspend

# Real transactions: the ledger's head is written when one commits, and every download verifies the ledger.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def whole(response):
    return b"".join(response.streaming_content)


def refusal(response, status):
    """The problem document of a refused call: all of its parts, in one line."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["what"]
    assert problem["remedy"]
    assert "\n" not in problem["title"]
    return problem


def test_from_agreement_to_bytes(api, people, released, bundle_bytes, finish_copies):
    shown = api(people.researcher, "get", "agreement/").json()
    assert (shown["accepted"], shown["text"]) == (False, agreement.TEXT)
    wish = {"release": "chest-1", "purpose": "research", "project": "a classifier"}
    assert "agreement" in refusal(api(people.researcher, "post", "requests/", wish), 403)["what"]
    assert api(people.researcher, "post", "agreement/", {"digest": shown["digest"]}).json()["accepted"]
    asked = api(people.researcher, "post", "requests/", wish)
    assert (asked.status_code, asked.json()["state"]) == (201, "submitted")
    verdict = {"approve": True, "reason": "a permitted purpose", "n_days": 30}
    decided = api(people.officer, "post", f"requests/{asked.json()['id']}/decide/", verdict).json()
    assert (decided["state"], decided["decided_by"]) == ("approved", "officer")
    (grant,) = api(people.researcher, "get", "grants/").json()["results"]
    assert (grant["is_open"], grant["bundle_digest"]) == (True, "")
    assert "being prepared" in refusal(api(people.researcher, "get", f"grants/{grant['id']}/download/"), 409)["what"]
    finish_copies()
    (grant,) = api(people.researcher, "get", "grants/").json()["results"]
    assert (grant["id"], grant["is_open"], grant["bundle_digest"]) == (decided["grant"], True, released.bundle_digest)
    response = api(people.researcher, "get", f"grants/{grant['id']}/download/")
    assert whole(response) == bundle_bytes
    assert response["ETag"] == f'"{released.bundle_digest}"'
    assert response["Content-Disposition"] == 'attachment; filename="chest-1.zip"'
    assert Event.objects.get(kind="release:downloaded").payload["last_byte"] == len(bundle_bytes) - 1


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [("bytes=0-99", 0, 99), ("bytes=1000-", 1000, None), ("bytes=-7", -7, None), ("bytes=5-5", 5, 5)],
)
def test_a_range_gives_those_bytes_and_is_recorded(api, people, grant, bundle_bytes, header, first, last):
    response = api(people.researcher, "get", f"grants/{grant.pk}/download/", Range=header)
    n_total = len(bundle_bytes)
    first, last = first % n_total, n_total - 1 if last is None else last
    assert response.status_code == 206
    assert whole(response) == bundle_bytes[first : last + 1]
    assert response["Content-Range"] == f"bytes {first}-{last}/{n_total}"
    assert int(response["Content-Length"]) == last - first + 1
    download = Download.objects.get()
    assert (download.first_byte, download.last_byte, download.n_total) == (first, last, n_total)


def test_a_range_of_another_file_gives_the_whole_of_this_one(api, people, grant, bundle_bytes, released):
    same = {"Range": "bytes=10-", "If-Range": f'"{released.bundle_digest}"'}
    assert api(people.researcher, "get", f"grants/{grant.pk}/download/", **same).status_code == 206
    for tag in (f'"sha256:{"0" * 64}"', f'W/"{released.bundle_digest}"', "Wed, 21 Oct 2026 07:28:00 GMT"):
        headers = {"Range": "bytes=10-", "If-Range": tag}
        response = api(people.researcher, "get", f"grants/{grant.pk}/download/", **headers)
        assert (response.status_code, whole(response)) == (200, bundle_bytes)


@pytest.mark.parametrize("header", ["bytes=9999999999-", "bytes=5-2", "bytes=0-1,3-4", "bytes=x-"])
def test_a_range_that_cannot_be_sent_records_nothing(api, people, grant, bundle_bytes, header):
    response = api(people.researcher, "get", f"grants/{grant.pk}/download/", Range=header)
    assert response["Content-Range"] == f"bytes */{len(bundle_bytes)}"
    assert refusal(response, 416)["where"] == "Range"
    assert not Download.objects.exists()


def test_head_gives_the_headers_and_records_nothing(api, people, grant, bundle_bytes):
    response = api(people.researcher, "head", f"grants/{grant.pk}/download/")
    assert (response.status_code, response.content) == (200, b"")
    assert (int(response["Content-Length"]), response["Accept-Ranges"]) == (len(bundle_bytes), "bytes")
    assert not Download.objects.exists()


@pytest.mark.parametrize("accept", ["*/*", "application/zip", "application/json"])
def test_a_reader_may_ask_for_a_zip(api, people, grant, bundle_bytes, accept):
    response = api(people.researcher, "get", f"grants/{grant.pk}/download/", Accept=accept)
    assert (response.status_code, response["Content-Type"]) == (200, "application/zip")


def test_under_asgi_the_bytes_leave_chunk_by_chunk(async_client, people, grant, bundle_bytes):
    token = api_token_create(user=people.researcher)

    async def download():
        address = f"/api/v1/grants/{grant.pk}/download/"
        response = await async_client.get(address, headers={"Authorization": f"Token {token}"})
        chunks = [chunk async for chunk in response.streaming_content]
        await sync_to_async(connections.close_all)()  # of the thread that the view ran in
        return chunks

    chunks = asyncio.run(download())
    assert len(chunks) > 1
    assert b"".join(chunks) == bundle_bytes


def revoked(people, grant, bundle):
    grant_revoke(grant=grant, reason="the project ended", acting_user=people.officer)


def expired(people, grant, bundle):
    Grant.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def suspended(people, grant, bundle):
    release_suspend(release=grant.request.release, reason="a doubt", acting_user=people.officer)


def recalled(people, grant, bundle):
    for officer in (people.officer, people.second_officer):
        release_propose(release=grant.request.release, target="revoked", reason="a copy", acting_user=officer)


def tampered(people, grant, bundle):
    bundle.write_bytes(bundle.read_bytes()[:-1] + b"?")


def ledger_cut(people, grant, bundle):
    from django.conf import settings

    (settings.VEILMARK_VAR / "ledger" / "head.json").unlink()


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize(
    ("change", "status"),
    [(revoked, 403), (expired, 403), (suspended, 409), (recalled, 409)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_has_ended_gives_no_bytes(api, people, grant, released, change, status, method):
    change(people, grant, None)
    response = api(people.researcher, method, f"grants/{grant.pk}/download/")
    assert response.status_code == status
    assert not Download.objects.exists()


@pytest.mark.parametrize("change", [tampered, ledger_cut], ids=lambda change: change.__name__)
def test_the_rules_are_evaluated_before_every_download(api, people, grant, released, change):
    whole(api(people.researcher, "get", f"grants/{grant.pk}/download/"))
    change(people, grant, copy_zip(grant.copy))
    refusal(api(people.researcher, "get", f"grants/{grant.pk}/download/"), 403)
    assert Download.objects.count() == 1


def test_a_grant_is_its_researchers_alone(api, people, grant):
    other = person_create(username="other", password=people.password, role="researcher")
    assert api(other, "get", "grants/").json()["count"] == 0
    assert api(other, "get", "requests/").json()["count"] == 0
    for person, status in ((other, 404), (people.officer, 403), (people.custodian, 403), (None, 401)):
        refusal(api(person, "get", f"grants/{grant.pk}/download/"), status)
    assert not Download.objects.exists()


WISH = {"release": "chest-1", "purpose": "research", "project": "a classifier"}
VERDICT = {"approve": True, "reason": "a permitted purpose", "n_days": 30}


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        pytest.param({}, 400, "release", id="nothing"),
        pytest.param(WISH | {"release": "chest-2"}, 404, "release chest-2", id="no such release"),
        pytest.param(WISH | {"purpose": "advertising"}, 400, "release chest-1", id="a purpose that is not permitted"),
        pytest.param(WISH | {"purpose": "p" * 101}, 400, "purpose", id="a purpose too long"),
        pytest.param(WISH | {"project": " "}, 400, "project", id="a blank project"),
        pytest.param([WISH], 400, "", id="a list"),
        pytest.param("{", 400, "", id="broken JSON"),
    ],
)
def test_a_bad_request_makes_no_row(api, people, grant, body, status, where):
    n_rows = AccessRequest.objects.count()
    assert where in refusal(api(people.researcher, "post", "requests/", body), status)["where"]
    assert AccessRequest.objects.count() == n_rows


@pytest.mark.parametrize(
    ("body", "where"),
    [
        pytest.param({}, "approve", id="nothing"),
        pytest.param(VERDICT | {"reason": ""}, "reason", id="no reason"),
        pytest.param(VERDICT | {"approve": "perhaps"}, "approve", id="neither yes nor no"),
        pytest.param(VERDICT | {"n_days": 0}, "days", id="no days"),
        pytest.param(VERDICT | {"n_days": 366}, "days", id="more than a year"),
    ],
)
def test_a_bad_verdict_changes_nothing(api, people, grant, released, body, where):
    asked = request_create(release=released, purpose="teaching", project="a course", acting_user=people.researcher)
    assert refusal(api(people.officer, "post", f"requests/{asked.pk}/decide/", body), 400)["where"] == where
    asked.refresh_from_db()
    assert asked.state == "submitted"


def test_a_request_is_decided_once(api, people, released, grant):
    address = f"requests/{grant.request.pk}/decide/"
    again = api(people.second_officer, "post", address, VERDICT | {"approve": False})
    assert refusal(again, 409)["what"] == "is approved"
    grant.request.refresh_from_db()
    assert (grant.request.state, grant.request.decided_by) == ("approved", people.officer)


def test_a_wording_that_has_changed_is_not_accepted(api, people):
    refusal(api(people.researcher, "post", "agreement/", {"digest": f"sha256:{'0' * 64}"}), 409)
    assert not api(people.researcher, "get", "agreement/").json()["accepted"]


def test_an_officer_ends_a_grant(api, people, grant):
    ended = api(people.officer, "post", f"grants/{grant.pk}/revoke/", {"reason": "the project ended"}).json()
    assert (ended["is_open"], ended["revoked_at"] is None) == (False, False)
    refusal(api(people.officer, "post", f"grants/{grant.pk}/revoke/", {"reason": "again"}), 409)


def test_a_rejected_request_has_no_grant(api, people, grant, released):
    asked = request_create(release=released, purpose="teaching", project="a course", acting_user=people.researcher)
    request_decide(request=asked, approve=False, reason="too vague", acting_user=people.officer)
    shown = api(people.researcher, "get", f"requests/{asked.pk}/").json()
    assert (shown["state"], shown["reason"], shown["grant"]) == ("rejected", "too vague", None)
