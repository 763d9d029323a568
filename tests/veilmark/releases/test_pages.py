"""A release through its pages: drafted, submitted, voted blind, signed, suspended, revoked by two."""

from itertools import pairwise

import pytest

from veilmark.releases.states import TRANSITIONS, ReleaseState
from veilmark.releases.stepper import main_line, steps_of

DRAFT = {"name": "chest-9", "title": "Chest", "description": "", "profile": "internal"}


def act(visit, person, release, slug, sent=None, **options):
    return visit(person, f"/releases/{release.pk}/{slug}/", {} if sent is None else sent, **options)


def test_the_main_line_is_the_way_of_the_table():
    line = main_line()
    assert (line[0], line[-1]) == (ReleaseState.DRAFT, ReleaseState.RELEASED)
    moves = {(row.source, row.target) for row in TRANSITIONS}
    assert all(pair in moves for pair in pairwise(line))


@pytest.mark.parametrize("state", list(ReleaseState))
def test_every_state_stands_on_the_line_once(state):
    steps = steps_of(state, ReleaseState.AUDITING)
    assert [step.state for step in steps].count(state) == 1
    statuses = [step.status for step in steps]
    assert statuses == sorted(statuses, key=["done", "current", "ahead"].index)


def test_a_draft_is_written_and_submitted(people, synthetic_set, visit):
    from veilmark.releases.models import Release

    visit(people.custodian, f"/releases/new/{synthetic_set.pk}/", DRAFT)
    release = Release.objects.get(name="chest-9")
    assert act(visit, people.custodian, release, "submit").status_code == 302
    release.refresh_from_db()
    assert release.state == ReleaseState.AUDITING


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"name": "chest 9"}, "consisting of letters, numbers, underscores or hyphens"),
        ({"name": "../../etc"}, "consisting of letters, numbers, underscores or hyphens"),
        ({"profile": "none"}, "Select a valid choice."),
        ({"title": ""}, "This field is required."),
    ],
    ids=["space", "path", "profile", "title"],
)
def test_a_bad_draft_is_one_line(people, synthetic_set, visit, changed, line):
    from veilmark.releases.models import Release

    response = visit(people.custodian, f"/releases/new/{synthetic_set.pk}/", DRAFT | changed)
    assert response.status_code == 400
    assert line in response.content.decode()
    assert not Release.objects.filter(title="Chest").exists()


def test_a_steps_form_is_sent_where_it_stands(people, in_review, visit):
    text = visit(people.officer, f"/releases/{in_review.pk}/vote/").content.decode()
    assert '<form method="post" class="form">' in text


def test_votes_are_blind_until_both_are_in(people, in_review, visit):
    page = f"/releases/{in_review.pk}/"
    act(visit, people.officer, in_review, "vote", {"vote": "approve", "reason": "membership holds"})
    assert "membership holds" in visit(people.officer, page).content.decode()
    assert "membership holds" not in visit(people.second_officer, page).content.decode()
    act(visit, people.second_officer, in_review, "vote", {"vote": "approve", "reason": "so does utility"})
    assert "membership holds" in visit(people.second_officer, page).content.decode()


def test_the_digest_is_shown_and_signed_with_the_password(people, in_review, visit):
    for officer in (people.officer, people.second_officer):
        act(visit, officer, in_review, "vote", {"vote": "approve", "reason": "the audits hold"})
    root = in_review.audit_run.content_root
    assert root in visit(people.officer, f"/releases/{in_review.pk}/endorse/").content.decode()
    signed = {"digest": root, "meaning": "I approve", "password": "a wrong passphrase"}
    refused = act(visit, people.officer, in_review, "endorse", signed)
    assert refused.status_code == 400
    assert "officer: the password was not accepted" in refused.content.decode()
    assert "a wrong passphrase" not in refused.content.decode()
    assert not in_review.endorsements.exists()
    other = signed | {"password": people.password, "digest": f"sha256:{'0' * 64}"}
    assert (
        "is not the digest of the audited files"
        in act(visit, people.officer, in_review, "endorse", other).content.decode()
    )
    for officer in (people.officer, people.second_officer):
        sent = signed | {"password": people.password}
        assert act(visit, officer, in_review, "endorse", sent).status_code == 302
    in_review.refresh_from_db()
    assert in_review.state == ReleaseState.APPROVED


def test_an_officer_with_an_interest_is_told_so(people, in_review, visit):
    from veilmark.reader_studies.models import ReaderItem, ReaderStudy, Reading

    study = ReaderStudy.objects.create(synthetic_set=in_review.synthetic_set, opened_by=people.custodian)
    item = ReaderItem.objects.create(study=study, position=0, is_synthetic=True, source_index=0)
    Reading.objects.create(item=item, reader=people.officer, judged_synthetic=True, realism=3)
    assert "you are one of its readers" in visit(people.officer, f"/releases/{in_review.pk}/").content.decode()
    response = act(visit, people.officer, in_review, "vote", {"vote": "approve", "reason": "fine"})
    assert response.status_code == 400
    assert not in_review.reviews.exists()


def test_two_officers_revoke(people, released, visit):
    motion = {"target": "revoked", "reason": "a copy was found"}
    act(visit, people.officer, released, "move", motion)
    released.refresh_from_db()
    assert released.state == ReleaseState.RELEASED
    act(visit, people.second_officer, released, "move", motion)
    released.refresh_from_db()
    assert released.state == ReleaseState.REVOKED


@pytest.mark.parametrize(("slug", "sent"), [("submit", {}), ("vote", {"vote": "approve", "reason": "x"})])
def test_a_step_out_of_its_state_is_refused_in_one_line(people, released, visit, slug, sent):
    person = people.custodian if slug == "submit" else people.officer
    response = act(visit, person, released, slug, sent)
    assert response.status_code == 400
    assert response.content.decode().count('role="alert"') == 1
    released.refresh_from_db()
    assert released.state == ReleaseState.RELEASED


def test_receivers_see_no_inside(people, released, visit):
    for person in (people.researcher, people.clinician):
        text = visit(person, f"/releases/{released.pk}/").content.decode()
        assert released.title in text
        assert "Votes and signatures" not in text
        assert "History" not in text
