"""Blinded reading: one judgement an image, nothing on the page that tells, the result for others only."""

import pytest


@pytest.fixture
def study(people, synthetic_set):
    from veilmark.reader_studies.models import ReaderItem, ReaderStudy

    study = ReaderStudy.objects.create(synthetic_set=synthetic_set, opened_by=people.custodian)
    for position in range(2):
        ReaderItem.objects.create(study=study, position=position, is_synthetic=position == 0, source_index=position)
    return study


def judge(visit, people, study, **changed):
    item = study.items.exclude(readings__reader=people.clinician).first()
    sent = {"item": item.pk if item else "", "judged_synthetic": "yes", "realism": "4"} | changed
    return visit(people.clinician, f"/reader-studies/{study.pk}/read/", sent)


def test_a_reader_goes_through_and_sees_no_result(people, study, visit):
    page = f"/reader-studies/{study.pk}/read/"
    assert "Image 1 of 2" in visit(people.clinician, page).content.decode()
    judge(visit, people, study)
    assert "Image 2 of 2" in visit(people.clinician, page).content.decode()
    judge(visit, people, study)
    text = visit(people.clinician, f"/reader-studies/{study.pk}/", follow=True).content.decode()
    assert "You have judged every image" in text
    assert "Told apart" not in text
    result = visit(people.officer, f"/reader-studies/{study.pk}/").content.decode()
    assert "0.50" in result
    assert "by 1 reader." in result


def test_the_page_is_the_same_for_real_and_synthetic(people, study, visit):
    import re

    page = f"/reader-studies/{study.pk}/read/"
    first = visit(people.clinician, page).content.decode()
    judge(visit, people, study)
    second = visit(people.clinician, page).content.decode()

    def bare(text):
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", re.sub(r'value="[A-Za-z0-9]{64}"', "TOKEN", text))
        return re.sub(r"Image \d of|value=\"\d\" max|>\d of 2<", "", text)

    assert bare(first) == bare(second)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"judged_synthetic": ""}, "Choose one of the two."),
        ({"realism": ""}, "Choose 1 to 5."),
        ({"realism": "9"}, "Select a valid choice."),
        ({"item": "00000000-0000-0000-0000-000000000000"}, "there is none here"),
    ],
    ids=["no judgement", "no realism", "realism 9", "no such image"],
)
def test_a_bad_judgement_is_one_line(people, study, visit, changed, line):
    from veilmark.reader_studies.models import Reading

    response = judge(visit, people, study, **changed)
    assert response.status_code == 400
    assert line in response.content.decode()
    assert not Reading.objects.exists()


def test_nobody_else_reads_or_looks_at_an_image(people, study, visit):
    image = f"/reader-studies/images/{study.items.first().pk}.png"
    for role in ("custodian", "officer", "researcher", "operator"):
        assert visit(getattr(people, role), image).status_code == 403
        assert visit(getattr(people, role), f"/reader-studies/{study.pk}/read/").status_code == 403
