"""Uploading a cohort through the page: taken in, refused by its contract, refused in one line."""

import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from generators.phantoms import write_phantom_cohort

# Great Expectations imports what Python 3.11 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

MAPPING = """
[columns]
index = "index"
subject = "subject"
label = "label"
sex = "sex"
age = "age"
[dataset]
name = "phantoms"
licence = "CC0-1.0"
legal_basis = "procedural images"
purposes = ["testing"]
"""


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantom_cohort(folder, n_subjects=40, size=64, seed=3, max_images=1)
    return folder


def zipped(folder, replaced=None):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("images.npz", "metadata.csv"):
            archive.writestr(name, (replaced or {}).get(name) or (folder / name).read_bytes())
    return buffer.getvalue()


def fields(content, **changed):
    wanted = {
        "name": "ward 7",
        "archive": SimpleUploadedFile("ward.zip", content),
        "mapping_text": MAPPING,
        "public_n_subjects": "40",
        "epsilon_budget": "10",
        "delta_budget": "0.00001",
    } | changed
    return {name: value for name, value in wanted.items() if value is not None}


def test_an_upload_becomes_a_cohort(people, phantoms, visit):
    from veilmark.cohorts.models import Cohort
    from veilmark.cohorts.services import scratch_folder

    response = visit(people.custodian, "/cohorts/new/", fields(zipped(phantoms)), follow=True)
    cohort = Cohort.objects.get(name="ward 7")
    assert response.redirect_chain == [(f"/cohorts/contracts/{cohort.contract.pk}/", 302)]
    assert "The cohort meets its contract" in response.content.decode()
    assert list(scratch_folder().iterdir()) == []
    assert "procedural images" in visit(people.custodian, f"/cohorts/{cohort.pk}/").content.decode()


def test_a_mapping_may_come_as_a_file(people, phantoms, visit):
    mapping = SimpleUploadedFile("mapping.toml", MAPPING.encode())
    sent = fields(zipped(phantoms), mapping_text="", mapping_file=mapping)
    assert visit(people.custodian, "/cohorts/new/", sent).status_code == 302


def test_a_refused_upload_shows_its_contract_and_leaves_no_cohort(people, phantoms, visit):
    from veilmark.cohorts.models import Cohort

    rows = (phantoms / "metadata.csv").read_text().splitlines()
    few = "\n".join(rows[:6]).encode()
    response = visit(people.custodian, "/cohorts/new/", fields(zipped(phantoms, {"metadata.csv": few})), follow=True)
    text = response.content.decode()
    assert "Refused: nothing of this upload was kept" in text
    assert "at least 30 subjects" in text
    assert not Cohort.objects.exists()


BAD = {
    "no archive": ({"archive": None}, "This field is required."),
    "not a zip": ({"archive": SimpleUploadedFile("x.zip", b"GIF89a")}, "upload.zip: is no whole zip; upload it again"),
    "no mapping": ({"mapping_text": ""}, "mapping: is missing; give a TOML file, or write it as text"),
    "mapping no TOML": ({"mapping_text": "columns = ["}, "mapping: is no TOML"),
    "mapping without label": (
        {"mapping_text": MAPPING.replace('label = "label"', "")},
        "mapping: names no label column; add label",
    ),
    "mapping of another table": (
        {"mapping_text": MAPPING.replace('"subject"', '"patient"')},
        "for subject; columns there: index",
    ),
    "mapping not text": (
        {"mapping_file": SimpleUploadedFile("m.toml", b"\xff\xfe\x00")},
        "mapping: is no text in UTF-8; save it as UTF-8",
    ),
    "nobody": ({"public_n_subjects": "0"}, "greater than or equal to 1"),
    "epsilon 0": ({"epsilon_budget": "0"}, "privacy budget: is out of range; epsilon &gt; 0 and delta in (0, 1)"),
    "epsilon not finite": ({"epsilon_budget": "inf"}, "Enter a number."),
    "delta 1": ({"delta_budget": "1"}, "privacy budget: is out of range"),
}


@pytest.mark.parametrize(("changed", "line"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_changes_nothing(people, phantoms, visit, changed, line):
    from veilmark.cohorts.models import Cohort, ContractResult

    response = visit(people.custodian, "/cohorts/new/", fields(zipped(phantoms), **changed))
    text = response.content.decode()
    assert response.status_code == 400
    assert line in text
    assert text.count('role="alert"') == 1
    assert not Cohort.objects.exists()
    assert not ContractResult.objects.exists()


def test_a_truncated_zip_is_refused(people, phantoms, visit):
    whole = zipped(phantoms)
    response = visit(people.custodian, "/cohorts/new/", fields(whole[: len(whole) // 2]))
    assert response.status_code == 400
    assert "is no whole zip" in response.content.decode()


def test_names_of_images_are_escaped(people, cohort, visit):
    cohort.duplicates = [["<script>alert(1)</script>", "b.png"]]
    cohort.save()
    text = visit(people.custodian, f"/cohorts/{cohort.pk}/").content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; = b.png" in text
