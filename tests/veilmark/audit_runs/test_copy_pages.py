"""The pages and calls on which an officer looks at flagged pairs and answers."""

from __future__ import annotations

from typing import Any

import pytest

from veilmark.audit_runs.models import CopyReview
from veilmark.ledger.models import Event
from veilmark.ledger.selectors import events_of

pytestmark = [pytest.mark.django_db, pytest.mark.database]

ANSWER = {"answer": "not_copy", "reason": "the heart lies lower"}


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def place(flagged: Any) -> str:
    run = flagged
    described = {"unit": "share", "method": "a test", "source": "a paper"}
    run.report["measurements"] = [row | described for row in run.report["measurements"]]
    run.save()
    return f"/audit-runs/{run.pk}/"


def test_the_way_from_the_first_page_to_the_last_answer(people, flagged, place, visit):
    officer = people.officer
    assert f"{place}copies/" in text_of(visit(officer, "/"))
    assert "3 flagged, 0 reviewed, none confirmed as a copy" in text_of(visit(officer, place))
    listed = text_of(visit(officer, f"{place}copies/"))
    assert "Look at pair 1" in listed
    assert "nearest_copies, memorisation" in listed
    for number, following in ((1, "2/"), (2, "3/"), (3, "")):
        shown = visit(officer, f"{place}copies/{number}/")
        assert f"Pair {number} of 3" in text_of(shown)
        assert f"{place}copies/{number}.png" in text_of(shown)
        visit(officer, f"{place}copies/{number}.png")
        moved = visit(officer, f"{place}copies/{number}/", ANSWER)
        assert moved["Location"] == f"{place}copies/{following}"
    assert "Look at pair" not in text_of(visit(officer, f"{place}copies/"))
    assert f"{place}copies/" not in text_of(visit(officer, "/"))


def answered(visit: Any, person: Any, place: str, number: int, answer: str) -> str:
    """The page that an officer reads after looking at a pair and answering."""
    visit(person, f"{place}copies/{number}.png")
    return text_of(visit(person, f"{place}copies/{number}/", ANSWER | {"answer": answer}, follow=True))


def test_pages_say_what_was_recorded_and_what_it_means(people, place, visit):
    officer = people.officer
    assert "0 of 3 pairs are reviewed" in text_of(visit(officer, f"{place}copies/"))
    for number in (1, 2):
        assert f"Pair {number}: recorded as “not a copy”." in answered(visit, officer, place, number, "not_copy")
    assert "nobody calls one a copy" in answered(visit, officer, place, 3, "not_copy")
    listed = answered(visit, officer, place, 3, "copy")
    assert "Pair 3: recorded as “a copy”." in listed
    assert "A copy is confirmed" in listed


def test_a_release_tells_of_a_copy_that_was_confirmed_after_its_decision(people, flagged, in_review, visit):
    release, place = f"/releases/{in_review.pk}/", f"/audit-runs/{flagged.pk}/"
    assert "0 of 3 flagged pairs of this set are reviewed" in text_of(visit(people.officer, release))
    answered(visit, people.officer, place, 1, "copy")
    for person in (people.officer, people.custodian):
        assert "An officer confirmed a copy of a training image" in text_of(visit(person, release))


def test_a_custodian_sees_how_many_and_nothing_more(people, place, visit):
    text = text_of(visit(people.custodian, place))
    assert "3 flagged, 0 reviewed" in text
    assert "Look at the pairs" not in text
    assert visit(people.custodian, f"{place}copies/1.png").status_code == 403


def test_a_picture_is_never_kept_and_every_look_is_an_event(people, flagged, place, visit):
    for _ in range(2):
        response = visit(people.officer, f"{place}copies/2.png")
        assert response["Content-Type"] == "image/png"
        assert {"no-store", "private"} <= set(response["Cache-Control"].split(", "))
    looks = events_of(flagged).filter(kind="audit_run:copy_seen", actor=people.officer)
    assert [event.payload for event in looks] == [{"pair": 2}] * 2


def test_opening_the_internal_report_is_an_event_too(people, flagged, place, visit):
    from veilmark.core.storage import file_store

    key = bytes(flagged.synthetic_set.training_run.cohort.wrapped_key)
    file_store().put(f"audit_runs/{flagged.pk}/internal.html", b"<!doctype html>", wrapped_key=key)
    visit(people.custodian, f"{place}report/")
    assert Event.objects.get(kind="audit_run:report_seen").actor == people.custodian


REFUSED = {
    "no answer": ({"reason": "x"}, "Choose one of the three."),
    "no reason": ({"answer": "copy"}, "This field is required."),
    "unseen": (ANSWER, "you have not looked at it; open its picture"),
}


@pytest.mark.parametrize(("sent", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_stands_on_the_form(people, place, visit, sent, line):
    response = visit(people.officer, f"{place}copies/1/", sent)
    assert response.status_code in (200, 400)
    assert line in text_of(response)
    assert not CopyReview.objects.exists()


def test_others_answers_show_after_ones_own(people, place, visit):
    for officer, reason in ((people.officer, "same clavicle"), (people.second_officer, "another rib cage")):
        visit(officer, f"{place}copies/1.png")
        assert "What others say is shown once you have answered" in text_of(visit(officer, f"{place}copies/1/"))
        assert "same clavicle" not in text_of(visit(officer, f"{place}copies/1/"))
        visit(officer, f"{place}copies/1/", {"answer": "copy", "reason": reason})
    text = text_of(visit(people.second_officer, f"{place}copies/1/"))
    assert "same clavicle" in text
    assert "Answer anew" in text
    assert "1 confirmed as a copy: the set is blocked" in text_of(visit(people.custodian, place))


def test_through_the_api(api, people, flagged):
    place = f"audit-runs/{flagged.pk}/copies/"
    pairs = api(people.officer, "get", place).json()
    assert [(pair["number"], pair["index"], pair["reviews"]) for pair in pairs] == [(1, 1, []), (2, 2, []), (3, 3, [])]
    assert "train" not in str(pairs)
    assert api(people.officer, "post", f"{place}1/review/", ANSWER).status_code == 409
    picture = api(people.officer, "get", f"{place}1/picture/")
    assert picture.content.startswith(b"\x89PNG")
    assert "no-store" in picture["Cache-Control"]
    made = api(people.officer, "post", f"{place}1/review/", ANSWER)
    assert (made.status_code, made.json()["reviewer"], made.json()["answer"]) == (201, "officer", "not_copy")
    (review,) = api(people.officer, "get", place).json()[0]["reviews"]
    assert review["reason"] == ANSWER["reason"]
    assert api(people.second_officer, "get", place).json()[0]["reviews"] == []
    wrong = api(people.officer, "post", f"{place}1/review/", ANSWER | {"answer": "maybe"})
    assert (wrong.status_code, wrong["Content-Type"]) == (400, "application/problem+json")
    assert api(people.officer, "get", f"{place}9/picture/").status_code == 404
