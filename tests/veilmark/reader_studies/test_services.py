"""Readers see images and nothing else; what they say is counted once."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from veilmark.accounts.services import person_create
from veilmark.cohorts.selectors import cohort_images
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.decisions.facts import gather_facts
from veilmark.reader_studies.models import ReaderItem
from veilmark.reader_studies.selectors import (
    n_complete_readers,
    next_item,
    readers_of,
    studies_visible,
    study_result,
)
from veilmark.reader_studies.services import item_png, reader_study_open, reading_record
from veilmark.synthetic_sets.final_files import as_8_bit

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def study(walked: Any) -> Any:
    return reader_study_open(synthetic_set=walked.synthetic_set, n_items=12, acting_user=walked.people["custodian"])


def judge(item: Any, reader: Any, *, rightly: bool = True, realism: int = 4) -> Any:
    judged = item.is_synthetic == rightly
    return reading_record(item=item, judged_synthetic=judged, realism=realism, acting_user=reader)


def test_half_are_real_and_nobody_trained_on_them(walked, study):
    items = list(study.items.all())
    assert [item.is_synthetic for item in items].count(True) == 6
    split = cohort_images(walked.cohort).split
    assert {split[item.source_index] for item in items if not item.is_synthetic} == {"holdout"}


def test_a_file_tells_nothing_but_its_pixels(study):
    kinds = {}
    for item in study.items.all():
        data = item_png(item)
        with Image.open(io.BytesIO(data)) as image:
            kinds.setdefault(item.is_synthetic, set()).add((image.size, image.mode, tuple(image.info)))
        for word in (b"SYNTHETIC", b"veilmark", b"tEXt", b"iTXt"):
            assert word not in data
    assert kinds[True] == kinds[False] == {((64, 64), "L", ())}


def test_the_pixels_are_those_of_the_row(walked, study):
    item = study.items.filter(is_synthetic=False).first()
    with Image.open(io.BytesIO(item_png(item))) as image:
        np.testing.assert_array_equal(np.asarray(image), cohort_images(walked.cohort).images[item.source_index])


def test_deep_pixels_are_shown_by_their_declared_white():
    dark = np.full((2, 2), 255, np.uint16)
    assert [int(as_8_bit(dark, white=white).max()) for white in (4095, 65535)] == [16, 1]
    assert as_8_bit(dark.astype(np.uint8), white=255).max() == 255


def test_a_reader_goes_through_all_and_is_counted(walked, study):
    reader = walked.people["clinician"]
    seen = []
    while item := next_item(study, reader):
        judge(item, reader, rightly=len(seen) < 9)
        seen.append(item)
        assert n_complete_readers(walked.synthetic_set) == (len(seen) == 12)
    assert [item.position for item in seen] == list(range(12))
    result = study_result(study)
    assert (result.accuracy, result.n_readings, result.n_readers) == (0.75, 12, 1)
    assert result.ci_low < 0.75 < result.ci_high
    assert readers_of(walked.synthetic_set) == {reader.pk}
    assert gather_facts(walked.audit_run)["reader_accuracy_upper"] == result.ci_high


def test_nobody_has_read_yet(walked, study):
    assert study_result(study) is None
    assert n_complete_readers(walked.synthetic_set) == 0
    assert "reader_accuracy_upper" not in gather_facts(walked.audit_run)


def test_a_judgement_is_given_once_and_in_range(walked, study):
    item, reader = study.items.first(), walked.people["clinician"]
    for realism in (0, 6):
        with pytest.raises(ApplicationError, match=r"realism: is \d; choose 1"):
            judge(item, reader, realism=realism)
    judge(item, reader)
    with pytest.raises(ApplicationError, match="image: was judged already; go on to the next"):
        judge(item, reader, rightly=False)
    for name in ("custodian", "officer", "researcher"):
        with pytest.raises(NotAllowedError):
            judge(item, walked.people[name])


@pytest.mark.parametrize("n_items", [0, 1, 7, -2, 402, 10**6])
def test_a_study_of_an_odd_size_is_refused(walked, n_items):
    with pytest.raises(ApplicationError, match=rf"number of images: is {n_items}; choose an even number up to"):
        reader_study_open(synthetic_set=walked.synthetic_set, n_items=n_items, acting_user=walked.people["custodian"])
    assert not ReaderItem.objects.exists()


def test_images_that_say_synthetic_are_not_read_blinded(people, synthetic_set):
    synthetic_set.visible_label = "burned-in"
    with pytest.raises(StateError, match="shows the word SYNTHETIC in its images"):
        reader_study_open(synthetic_set=synthetic_set, n_items=4, acting_user=people.custodian)


def test_who_opens_and_who_sees(walked, study):
    other = person_create(username="other", password="a long enough passphrase", role="custodian")
    for person in (other, walked.people["clinician"], walked.people["officer"]):
        with pytest.raises(NotAllowedError):
            reader_study_open(synthetic_set=walked.synthetic_set, n_items=4, acting_user=person)
    assert studies_visible(other).count() == 0
    assert studies_visible(walked.people["clinician"]).get().n_items == 12
    with pytest.raises(NotAllowedError):
        studies_visible(walked.people["researcher"])
