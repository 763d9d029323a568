"""The officers' part: two of them, independent, blind at first, each with their own password under one digest."""

from __future__ import annotations

from typing import Any

import pytest
from axes.models import AccessAttempt

from veilmark.accounts.services import person_create
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.ledger.selectors import events_of
from veilmark.reader_studies.models import ReaderItem, ReaderStudy, Reading
from veilmark.releases.models import Endorsement, Release
from veilmark.releases.review import release_endorse, release_propose, release_suspend, release_vote
from veilmark.releases.selectors import reviews_visible
from veilmark.releases.services import (
    release_assess,
    release_reopen,
    release_send_to_clinicians,
    release_submit,
    release_withdraw,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def vote(release: Any, officer: Any, choice: str = "approve", reason: str = "the evidence holds") -> Any:
    return release_vote(release=release, vote=choice, reason=reason, acting_user=officer)


def sign(release: Any, people: Any, officer: Any, **changes: str) -> Any:
    wanted = {"digest": release.audit_run.content_root, "meaning": "I answer for it", "password": people.password}
    return release_endorse(release=release, acting_user=officer, **(wanted | changes))


@pytest.fixture
def reviewed(people: Any, in_review: Any) -> Any:
    for officer in (people.officer, people.second_officer):
        vote(in_review, officer)
    return in_review


def kinds(release: Any) -> list[str]:
    return [event.kind for event in events_of(release).order_by("sequence")]


def make_trainer(people, release):
    release.synthetic_set.training_run.trainer = people.officer
    release.synthetic_set.training_run.save()


def make_drawer(people, release):
    release.synthetic_set.created_by = people.officer
    release.synthetic_set.save()


def make_custodian(people, release):
    """A custodian who became an officer stays the cohort's custodian."""
    release.synthetic_set.training_run.cohort.custodian = people.officer
    release.synthetic_set.training_run.cohort.save()


def make_reader(people, release):
    study = ReaderStudy.objects.create(synthetic_set=release.synthetic_set, opened_by=people.custodian)
    item = ReaderItem.objects.create(study=study, position=0, is_synthetic=True, source_index=0)
    Reading.objects.create(item=item, reader=people.officer, judged_synthetic=True, realism=3)


INTERESTS = {"its custodian": make_custodian, "its trainer": make_trainer, "one of its readers": make_reader}


@pytest.mark.parametrize(
    ("interest", "make"),
    [*INTERESTS.items(), ("its trainer", make_drawer)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_who_has_an_interest_neither_votes_nor_signs(people, reviewed, interest, make):
    make(people, reviewed)
    for act in (lambda: vote(reviewed, people.officer), lambda: sign(reviewed, people, people.officer)):
        with pytest.raises(NotAllowedError, match=f"officer: is {interest}; another officer must do this"):
            act()
    assert not Endorsement.objects.exists()


@pytest.mark.parametrize("role", ["custodian", "clinician", "researcher", "operator"])
def test_only_officers_vote_sign_and_suspend(people, reviewed, role):
    person = getattr(people, role)
    for act in (
        lambda: vote(reviewed, person),
        lambda: sign(reviewed, people, person),
        lambda: release_suspend(release=reviewed, reason="why not", acting_user=person),
        lambda: release_propose(release=reviewed, target="revoked", reason="why not", acting_user=person),
    ):
        with pytest.raises(NotAllowedError):
            act()


def test_votes_are_blind_until_both_are_in(people, in_review):
    vote(in_review, people.officer, "approve", "the first reason")
    assert reviews_visible(in_review, people.officer).count() == 1
    assert reviews_visible(in_review, people.second_officer).count() == 0
    assert reviews_visible(in_review, people.custodian).count() == 0
    (event,) = events_of(in_review).filter(kind="release:voted")
    assert "approve" not in event.payload_text, "the ledger, which officers may read, must not tell either"
    vote(in_review, people.second_officer)
    assert reviews_visible(in_review, people.second_officer).count() == 2


def test_an_officer_votes_once_and_with_a_reason(people, in_review):
    with pytest.raises(ApplicationError, match="no reason is given"):
        vote(in_review, people.officer, reason="  ")
    with pytest.raises(ApplicationError, match="vote: is 'perhaps'; choose one of approve, return, reject"):
        vote(in_review, people.officer, "perhaps")
    vote(in_review, people.officer)
    with pytest.raises(ApplicationError, match="officer: voted already in this round"):
        vote(in_review, people.officer)
    assert in_review.state == "in_review"


@pytest.mark.parametrize(
    ("votes", "state"),
    [
        (("approve", "approve"), "reviewed"),
        (("approve", "return"), "returned"),
        (("return", "approve"), "returned"),
        (("reject", "approve"), "rejected"),
        (("return", "reject"), "rejected"),
    ],
)
def test_one_vote_against_it_turns_it_down(people, in_review, votes, state):
    for officer, choice in zip((people.officer, people.second_officer), votes, strict=True):
        vote(in_review, officer, choice)
    in_review.refresh_from_db()
    assert in_review.state == state


def test_a_page_that_is_out_of_date_adds_no_vote(people, in_review):
    third = person_create(username="third", password=people.password, role="compliance_officer")
    stale = Release.objects.get(pk=in_review.pk)
    vote(in_review, people.officer)
    vote(in_review, people.second_officer)
    with pytest.raises(StateError, match="is reviewed; wait until it is in review"):
        vote(stale, third)


def test_two_signatures_approve_and_one_does_not(people, reviewed):
    sign(reviewed, people, people.officer)
    assert reviewed.state == "reviewed"
    sign(reviewed, people, people.second_officer)
    assert reviewed.state == "approved"
    assert reviewed.job.task == "releases:publish"
    assert kinds(reviewed)[-3:] == ["release:endorsed", "release:endorsed", "release:approved"]


def test_one_officer_cannot_sign_twice(people, reviewed):
    sign(reviewed, people, people.officer)
    with pytest.raises(ApplicationError, match="officer: has signed already"):
        sign(reviewed, people, people.officer)
    assert reviewed.endorsements.count() == 1
    assert reviewed.state == "reviewed"


def test_a_third_officer_who_did_not_review_does_not_sign(people, reviewed):
    third = person_create(username="third", password=people.password, role="compliance_officer")
    with pytest.raises(NotAllowedError, match="has not voted for it; only its reviewers sign"):
        sign(reviewed, people, third)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        pytest.param({"digest": f"sha256:{'6' * 64}"}, "is not the digest of the audited files; sign sha", id="d"),
        pytest.param({"digest": ""}, "is not the digest of the audited files", id="no digest"),
        pytest.param({"meaning": " "}, "meaning: is empty; say what the signature stands for", id="no meaning"),
        pytest.param({"password": "a wrong passphrase"}, "officer: the password was not accepted", id="password"),
    ],
)
def test_a_signature_that_is_not_whole_is_none(people, reviewed, change, line):
    with pytest.raises(ApplicationError, match=line):
        sign(reviewed, people, people.officer, **change)
    assert not Endorsement.objects.exists()


def test_wrong_passwords_lock_the_signer_out(people, reviewed, settings):
    for attempt in range(1, settings.AXES_FAILURE_LIMIT + 1):
        with pytest.raises(NotAllowedError):
            sign(reviewed, people, people.officer, password="a wrong passphrase")
        assert AccessAttempt.objects.get(username="officer").failures_since_start == attempt
    with pytest.raises(NotAllowedError, match="after five wrong ones wait 15 minutes"):
        sign(reviewed, people, people.officer)
    sign(reviewed, people, people.second_officer)
    assert reviewed.state == "reviewed"


def test_a_new_round_voids_earlier_votes(people, in_review):
    vote(in_review, people.officer, "return", "the title is wrong")
    vote(in_review, people.second_officer)
    release_reopen(release=in_review, acting_user=people.custodian)
    release_submit(release=in_review, acting_user=people.custodian)
    release_assess(release=in_review, progress=lambda *_: None)
    release_send_to_clinicians(release=in_review, acting_user=people.custodian)
    assert (in_review.round, in_review.state) == (2, "in_review")
    assert reviews_visible(in_review, people.officer).count() == 0
    with pytest.raises(StateError):
        sign(in_review, people, people.second_officer)
    vote(in_review, people.officer)
    vote(in_review, people.second_officer)
    assert in_review.state == "reviewed"


def test_a_withdrawn_release_is_past_signing(people, reviewed):
    sign(reviewed, people, people.officer)
    stale = Release.objects.get(pk=reviewed.pk)
    with pytest.raises(ApplicationError, match="no reason is given"):
        release_withdraw(release=reviewed, reason="", acting_user=people.custodian)
    release_withdraw(release=reviewed, reason="a subject objected", acting_user=people.custodian)
    with pytest.raises(StateError, match="is withdrawn"):
        sign(stale, people, people.second_officer)
    reviewed.refresh_from_db()
    assert (reviewed.state, reviewed.state_reason) == ("withdrawn", "a subject objected")


def test_motions_need_two_officers_and_start_anew_after_each(people, released):
    release_propose(release=released, target="revoked", reason="a copy", acting_user=people.officer)
    with pytest.raises(ApplicationError, match="has moved this already"):
        release_propose(release=released, target="revoked", reason="a copy", acting_user=people.officer)
    release_suspend(release=released, reason="at once", acting_user=people.officer)
    for officer in (people.officer, people.second_officer):
        release_propose(release=released, target="released", reason="a mistake", acting_user=officer)
    assert released.state == "released"
    release_propose(release=released, target="revoked", reason="a copy again", acting_user=people.second_officer)
    released.refresh_from_db()
    assert released.state == "released", "the motion from before it was reinstated is closed"


@pytest.mark.parametrize("target", ["revoked", "released", "draft", "nonsense"])
def test_a_motion_that_the_state_does_not_allow_is_none(people, in_review, target):
    with pytest.raises(ApplicationError):
        release_propose(release=in_review, target=target, reason="why not", acting_user=people.officer)
    assert not in_review.motions.exists()
