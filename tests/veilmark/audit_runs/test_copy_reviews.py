"""Flagged pairs: who may look and answer, what an answer does, and that the picture is of the right two images."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generators.tables import resize_images
from veilmark.audit_runs.copies import flagged_pairs, pair_png
from veilmark.audit_runs.copy_reviews import copy_pair_show, copy_review_record
from veilmark.audit_runs.models import CopyReview
from veilmark.audit_runs.selectors import copy_state, reviews_visible, runs_to_review, standing_reviews
from veilmark.cohorts.selectors import cohort_images
from veilmark.core.errors import ApplicationError, IntegrityError, NotAllowedError, NotFoundError, StateError
from veilmark.ledger.selectors import events_of
from veilmark.ledger.verify import ledger_verify
from veilmark.synthetic_sets.final_files import read_final_image
from veilmark.synthetic_sets.selectors import set_folder

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def say(run: Any, number: int, answer: str, person: Any, reason: str = "the ribs run alike") -> Any:
    copy_pair_show(run=run, number=number, acting_user=person)
    return copy_review_record(run=run, number=number, answer=answer, reason=reason, acting_user=person)


def counts(run: Any) -> tuple[int, int, int]:
    state = copy_state([run])
    return state.n_flagged, state.n_reviewed, state.n_confirmed


def test_a_pair_that_two_audits_flag_is_one_pair(flagged):
    found = [(pair.number, pair.index, pair.train_row, pair.flagged_by) for pair in flagged_pairs(flagged)]
    assert found == [
        (1, 1, 4, ("nearest_copies", "memorisation")),
        (2, 2, 5, ("memorisation",)),
        (3, 3, 0, ("nearest_copies",)),
    ]


def test_only_audits_of_copies_of_the_set_itself_make_pairs(flagged, flag):
    from veilmark.audit_runs.copies import pairs_in

    row = {"flags": [{"index": 0, "detector": "parts"}], "internal": {"nearest_train_index": {"0": 1}}}
    kinds = [("linkability", "samples"), ("singling_out", "query"), (None, "samples"), ("singling_out", "samples")]
    rows = [row | {"law": law, "release_mode": mode} for law, mode in kinds]
    assert len(pairs_in({"measurements": rows})) == 1
    assert not pairs_in({"measurements": rows[:3]})


def test_the_picture_shows_the_final_file_beside_the_training_image(flagged):
    pair = flagged_pairs(flagged)[0]
    picture = pair_png(flagged, pair)
    with Image.open(io.BytesIO(picture)) as image:
        shown = np.asarray(image)
        assert (image.mode, image.info) == ("L", {})
    assert shown.shape == (64, 64 + 4 + 64)
    np.testing.assert_array_equal(shown[:, :64], read_final_image(flagged.synthetic_set, 1))
    # Row 4 of the train arm is row 6 of the cohort: 0, 3 and 8 are of other arms.
    real = cohort_images(flagged.synthetic_set.training_run.cohort).select(np.array([6]))
    np.testing.assert_array_equal(shown[:, 68:], resize_images(real, 64).images[0])


def other_file(run: Any) -> None:
    first, second, *_ = sorted((set_folder(run.synthetic_set) / "images").glob("*.png"))
    second.write_bytes(first.read_bytes())


def other_root(run: Any) -> None:
    run.content_root = f"sha256:{'0' * 64}"


def other_cohort(run: Any) -> None:
    run.synthetic_set.training_run.cohort.data_digest = f"sha256:{'0' * 64}"


@pytest.mark.parametrize("change", [other_file, other_root, other_cohort])
def test_no_picture_of_what_was_not_audited(people, flagged, change):
    change(flagged)
    with pytest.raises(IntegrityError):
        copy_pair_show(run=flagged, number=1, acting_user=people.officer)
    assert not events_of(flagged).exists()


def test_a_flag_without_its_training_image_has_no_picture_and_stays_unreviewed(people, flagged, flag):
    from veilmark.core.storage import file_store

    name, key = f"audit_runs/{flagged.pk}/internal.json", bytes(flagged.synthetic_set.training_run.cohort.wrapped_key)
    report = json.loads(file_store().read(name, wrapped_key=key))
    for row in report["measurements"]:
        row["internal"] = {}
    file_store().put(name, json.dumps(report).encode(), wrapped_key=key)
    with pytest.raises(IntegrityError, match="names no training image"):
        copy_pair_show(run=flagged, number=1, acting_user=people.officer)
    assert counts(flagged) == (3, 0, 0)


def test_answers_are_counted_and_recorded(people, flagged):
    assert counts(flagged) == (3, 0, 0)
    say(flagged, 1, "not_copy", people.officer)
    say(flagged, 2, "cannot_tell", people.officer)
    assert counts(flagged) == (3, 1, 0)
    say(flagged, 2, "copy", people.second_officer)
    assert counts(flagged) == (3, 2, 1)
    events = [(event.kind, event.actor, event.payload.get("pair")) for event in events_of(flagged)]
    assert events[:2] == [("audit_run:copy_seen", people.officer, 1), ("audit_run:copy_reviewed", people.officer, 1)]
    assert len(events) == 6
    assert "ribs" not in str([event.payload_text for event in events_of(flagged)])


@pytest.mark.django_db(transaction=True)
def test_looks_and_answers_stand_in_the_chain(people, flagged):
    say(flagged, 1, "not_copy", people.officer)
    assert ledger_verify().ok


def test_a_later_answer_of_the_same_person_stands_and_the_earlier_row_stays(people, flagged):
    for answer in ("copy", "cannot_tell", "not_copy"):
        say(flagged, 1, answer, people.officer)
    assert counts(flagged) == (3, 1, 0)
    assert [review.answer for review in standing_reviews(flagged)] == ["not_copy"]
    assert [(row.sequence, row.answer) for row in CopyReview.objects.all()] == [
        (1, "copy"),
        (2, "cannot_tell"),
        (3, "not_copy"),
    ]


def test_a_copy_that_one_person_confirms_is_confirmed_whatever_the_other_says(people, flagged):
    say(flagged, 1, "copy", people.officer)
    say(flagged, 1, "not_copy", people.second_officer)
    assert counts(flagged) == (3, 1, 1)
    say(flagged, 1, "not_copy", people.officer)
    assert counts(flagged) == (3, 1, 0)


def test_others_answers_show_once_one_has_answered(people, flagged):
    say(flagged, 1, "copy", people.officer)
    say(flagged, 2, "copy", people.second_officer)
    assert set(reviews_visible(flagged, people.second_officer)) == {2}
    say(flagged, 1, "not_copy", people.second_officer)
    seen = reviews_visible(flagged, people.second_officer)
    assert {review.reviewer for review in seen[1]} == {people.officer, people.second_officer}


@pytest.mark.parametrize("role", ["custodian", "clinician", "researcher", "operator"])
def test_other_roles_neither_look_nor_answer(people, flagged, role):
    person = getattr(people, role)
    with pytest.raises(NotAllowedError):
        copy_pair_show(run=flagged, number=1, acting_user=person)
    with pytest.raises(NotAllowedError):
        copy_review_record(run=flagged, number=1, answer="not_copy", reason="looks fine", acting_user=person)
    assert not events_of(flagged).exists()


MAKERS = {
    "its custodian": lambda run, person: setattr(run.synthetic_set.training_run.cohort, "custodian", person),
    "its trainer": lambda run, person: setattr(run.synthetic_set.training_run, "trainer", person),
    "who drew it": lambda run, person: setattr(run.synthetic_set, "created_by", person),
}


@pytest.mark.parametrize("part", MAKERS)
def test_who_made_the_set_is_no_judge_of_it_in_whatever_role(people, flagged, part):
    MAKERS[part](flagged, people.officer)
    with pytest.raises(NotAllowedError, match=f"is {part}; another officer"):
        say(flagged, 1, "not_copy", people.officer)
    assert say(flagged, 1, "not_copy", people.second_officer).sequence == 1


REFUSED = {
    "unseen": ({}, StateError, "you have not looked at it"),
    "another word": ({"answer": "maybe"}, ApplicationError, "choose one of copy, not_copy, cannot_tell"),
    "no reason": ({"reason": "  "}, ApplicationError, "no reason is given"),
    "pair 0": ({"number": 0}, NotFoundError, "there is no such pair"),
    "pair 4": ({"number": 4}, NotFoundError, "there is no such pair"),
}


@pytest.mark.parametrize(("change", "error", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_answers_leave_no_row(people, flagged, change, error, line):
    copy_pair_show(run=flagged, number=2, acting_user=people.officer)
    copy_pair_show(run=flagged, number=1, acting_user=people.second_officer)
    arguments = {"number": 1, "answer": "not_copy", "reason": "other ribs"} | change
    with pytest.raises(error, match=line):
        copy_review_record(run=flagged, acting_user=people.officer, **arguments)
    assert not CopyReview.objects.exists()


def test_nobody_answers_before_the_audit_is_done(people, flagged):
    flagged.state = "running"
    with pytest.raises(StateError, match="is running"):
        copy_pair_show(run=flagged, number=1, acting_user=people.officer)


def test_rows_are_added_only(people, flagged):
    review = say(flagged, 1, "copy", people.officer)
    review.answer = "not_copy"
    for change in (review.save, review.delete, CopyReview.objects.all().delete):
        with pytest.raises(StateError, match="answer again"):
            change()
    with pytest.raises(StateError, match="cannot be changed"):
        CopyReview.objects.update(answer="not_copy")
    assert counts(flagged) == (3, 1, 1)


def test_pairs_of_runs_from_before_they_were_counted_come_from_their_report(flagged):
    flagged.n_flagged_copies = None
    flagged.save()
    assert counts(flagged) == (3, 0, 0)


def test_what_waits_for_an_officer(people, flagged):
    assert [run for run, _ in runs_to_review(people.officer)] == [flagged]
    for number in (1, 2, 3):
        say(flagged, number, "not_copy", people.second_officer)
    assert runs_to_review(people.officer) == []


def test_a_walked_audit_counted_its_pairs_and_shows_them(walked):
    run, officer = walked.audit_run, walked.people["officer"]
    pairs = flagged_pairs(run)
    assert run.n_flagged_copies == len(pairs)
    assert all(pair.train_row >= 0 for pair in pairs)
    for pair in pairs[:2]:
        with Image.open(io.BytesIO(copy_pair_show(run=run, number=pair.number, acting_user=officer))) as image:
            assert image.size == (64 + 4 + 64, 64)
    assert "nearest_train_index" not in json.dumps(run.report)
