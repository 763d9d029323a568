"""A researcher gets what was released, for a permitted purpose, while a grant lasts; every download is on record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from veilmark.access import agreement
from veilmark.access.models import AccessRequest, Download
from veilmark.access.selectors import copy_zip, grants_visible, has_accepted, is_open, requests_visible
from veilmark.access.services import agreement_accept, download_open, grant_revoke, request_create, request_decide
from veilmark.accounts.services import person_create
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.decisions.models import Decision
from veilmark.ledger.models import Event
from veilmark.releases.review import release_suspend

# Real transactions: the ledger's head is written when one commits, and every download verifies the ledger.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def ask(people: Any, release: Any, **changes: str) -> AccessRequest:
    wish = {"purpose": "research", "project": "a classifier"} | changes
    return request_create(release=release, acting_user=people.researcher, **wish)


def fetch(grant: Any, person: Any, first_byte: int = 0, last_byte: int | None = None) -> Any:
    return download_open(grant=grant, first_byte=first_byte, last_byte=last_byte, acting_user=person)


def test_the_agreement_comes_first_and_once(people, released):
    with pytest.raises(NotAllowedError, match="the agreement is not accepted; accept it first"):
        ask(people, released)
    first = agreement_accept(acting_user=people.researcher)
    assert agreement_accept(acting_user=people.researcher) == first
    assert (first.version, first.text_digest) == (agreement.VERSION, agreement.DIGEST)
    assert Event.objects.filter(kind="agreement:accepted").count() == 1
    assert ask(people, released).state == "submitted"


def test_an_agreement_with_another_wording_must_be_accepted_anew(people, released, monkeypatch):
    agreement_accept(acting_user=people.researcher)
    monkeypatch.setattr(agreement, "DIGEST", f"sha256:{'0' * 64}")
    assert not has_accepted(people.researcher)


def test_only_what_is_released_can_be_asked_for(people, in_review):
    agreement_accept(acting_user=people.researcher)
    with pytest.raises(StateError, match="release chest-1: is in review; ask for a released one"):
        ask(people, in_review)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"purpose": "advertising"}, "purpose 'advertising' is not permitted; choose research, teaching"),
        ({"project": "  "}, "project: says nothing"),
    ],
    ids=["purpose", "project"],
)
def test_a_wish_that_is_not_permitted(people, released, changes, line):
    agreement_accept(acting_user=people.researcher)
    with pytest.raises(ApplicationError, match=line):
        ask(people, released, **changes)
    assert not AccessRequest.objects.exists()


@pytest.mark.parametrize("role", ["custodian", "clinician", "operator", "researcher"])
def test_only_officers_decide(people, grant, released, role):
    request = ask(people, released)
    with pytest.raises(NotAllowedError):
        request_decide(request=request, approve=True, reason="why not", acting_user=getattr(people, role))
    with pytest.raises(NotAllowedError):
        grant_revoke(grant=grant, reason="why not", acting_user=getattr(people, role))


def test_every_download_is_decided_and_on_record(people, grant, released):
    whole = fetch(grant, people.researcher)
    part = fetch(grant, people.researcher, 10, 19)
    assert whole.path == copy_zip(grant.copy)
    assert (whole.first_byte, whole.last_byte) == (0, whole.n_total - 1)
    assert (part.first_byte, part.last_byte, part.digest) == (10, 19, released.bundle_digest)
    events = Event.objects.filter(kind="release:downloaded", actor=people.researcher)
    assert events.count() == Download.objects.count() == 2
    assert all(released.bundle_digest in event.payload_text for event in events)
    decisions = Decision.objects.filter(phase="download", made_for=people.researcher)
    assert [decision.outcome for decision in decisions] == ["PASS", "PASS"]


def expire(people, grant):
    grant.expires_at = timezone.now() - timedelta(seconds=1)
    grant.save()


def revoke(people, grant):
    grant_revoke(grant=grant, reason="the project ended", acting_user=people.officer)


def suspend(people, grant):
    release_suspend(release=grant.request.release, reason="a doubt", acting_user=people.officer)


ENDS = {expire: NotAllowedError, revoke: NotAllowedError, suspend: StateError}


@pytest.mark.parametrize(("end", "kind"), ENDS.items(), ids=lambda value: value.__name__)
def test_access_ends(people, grant, end, kind):
    end(people, grant)
    with pytest.raises(kind):
        fetch(grant, people.researcher)
    assert not Download.objects.exists()
    assert not Event.objects.filter(kind="release:downloaded").exists()


def another_file(people, grant, released):
    copy_zip(grant.copy).write_bytes(b"another")


def another_purpose(people, grant, released):
    cohort = released.synthetic_set.training_run.cohort
    cohort.purposes = ["teaching"]
    cohort.save()


def another_agreement(people, grant, released):
    people.researcher.agreements.all().delete()


REFUSALS = {"manifest": another_file, "purpose": another_purpose, "agreement": another_agreement}


@pytest.mark.parametrize(("rule", "change"), REFUSALS.items(), ids=REFUSALS.keys())
def test_a_download_that_the_rules_refuse_leaves_its_decision_alone(people, grant, released, rule, change):
    change(people, grant, released)
    grant.refresh_from_db()
    with pytest.raises(NotAllowedError, match=rule):
        fetch(grant, people.researcher)
    assert Decision.objects.get(phase="download").outcome == "FAIL"
    assert not Download.objects.exists()


def test_a_grant_is_personal(people, grant):
    other = person_create(username="other", password=people.password, role="researcher")
    for person in (other, people.officer, people.custodian):
        with pytest.raises(NotAllowedError):
            fetch(grant, person)
    assert list(grants_visible(other)) == list(requests_visible(other)) == []
    assert is_open(grants_visible(people.officer).get())
    for person in (people.custodian, people.clinician):
        with pytest.raises(NotAllowedError):
            requests_visible(person)


def test_a_missing_file_is_one_line(people, grant, released):
    copy_zip(grant.copy).unlink()
    with pytest.raises(ApplicationError, match="the file of your copy is missing"):
        fetch(grant, people.researcher)


def test_ending_a_grant_needs_a_reason(people, grant):
    with pytest.raises(ApplicationError, match="grant: no reason is given; say why"):
        grant_revoke(grant=grant, reason=" ", acting_user=people.officer)
    assert is_open(grant)
