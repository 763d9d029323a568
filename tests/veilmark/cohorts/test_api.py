"""Cohorts through the API: an upload taken in, uploads refused, figures that stay with the custodian."""

import io
import zipfile

import numpy as np
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from veilmark.accounts.services import api_token_create
from veilmark.cohorts.models import Cohort, ContractResult

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.database,
    pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning"),  # great_expectations, at its import
]

MAPPING = """
[columns]
index = "index"
subject = "person"
label = "finding"
sex = "sex"
age = "age"
[dataset]
name = "tiny"
licence = "CC BY 4.0"
legal_basis = "GDPR 9(2)(j)"
purposes = ["research"]
permits_derivatives = true
"""
TERMS = {"name": "tiny", "public_n_subjects": 40, "epsilon_budget": 8, "delta_budget": 1e-5, "split_seed": 7}
N = 40


def archive(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return buffer.getvalue()


def images():
    buffer = io.BytesIO()
    np.savez(buffer, images=np.random.default_rng(0).integers(0, 255, (N, 16, 16)).astype(np.uint8))
    return buffer.getvalue()


def table(age="50"):
    rows = [f"{row},p{row},{'nodule' if row % 2 else 'normal'},{'F' if row % 3 else 'M'},{age}" for row in range(N)]
    return "\n".join(["index,person,finding,sex,age", *rows])


GOOD = archive(**{"images.npz": images(), "metadata.csv": table()})


@pytest.fixture
def upload(client, people):
    headers = {"Authorization": f"Token {api_token_create(user=people.custodian)}"}

    def send(content=GOOD, **fields):
        form = TERMS | {"mapping": MAPPING} | fields | {"archive": SimpleUploadedFile("cohort.zip", content)}
        return client.post("/api/v1/cohorts/", form, headers=headers)

    return send


def test_an_upload_is_taken_in_and_only_its_custodian_sees_the_true_figures(api, people, upload):
    made = upload()
    assert made.status_code == 201, made.content
    cohort = made.json()
    assert (cohort["name"], cohort["labels"], cohort["purposes"]) == ("tiny", ["nodule", "normal"], ["research"])
    assert (cohort["public_n_subjects"], cohort["private"]["n_subjects"], cohort["private"]["n_images"]) == (40, N, N)
    assert sum(cohort["private"]["n_subjects_by_split"].values()) == N
    for person in (people.officer, people.operator):
        assert api(person, "get", f"cohorts/{cohort['id']}/").json()["private"] is None
    assert list((settings.VEILMARK_VAR / "scratch").iterdir()) == []


def test_a_custodian_sees_no_other_custodians_cohort(api, people, upload):
    from veilmark.accounts.services import person_create

    cohort = upload().json()
    other = person_create(username="other", password=people.password, role="custodian")
    assert api(other, "get", "cohorts/").json()["count"] == 0
    assert api(other, "get", f"cohorts/{cohort['id']}/").status_code == 404
    assert api(other, "post", "training-runs/", {"cohort": cohort["id"]}).status_code == 404


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param({"content": b""}, "archive", id="an empty file"),
        pytest.param({"content": b"no zip"}, "upload.zip", id="no zip"),
        pytest.param({"content": GOOD[:-100]}, "upload.zip", id="a truncated zip"),
        pytest.param({"content": archive(**{"images.npz": images()})}, "", id="no table and no DICOM file"),
        pytest.param({"content": archive(**{"metadata.csv": table(), "images.npz": b"x"})}, "", id="no arrays"),
        pytest.param({"mapping": MAPPING.replace("person", "patient")}, "metadata.csv", id="a missing column"),
        pytest.param({"mapping": "columns ="}, "mapping", id="broken TOML"),
        pytest.param({"mapping": ""}, "mapping", id="no mapping"),
        pytest.param({"name": " "}, "name", id="no name"),
        pytest.param({"public_n_subjects": "0"}, "public number of subjects", id="no declared bound"),
        pytest.param({"public_n_subjects": "many"}, "public_n_subjects", id="a bound that is no number"),
        pytest.param({"epsilon_budget": "nan"}, "epsilon_budget", id="a budget that is no number"),
        pytest.param({"delta_budget": "1"}, "privacy budget", id="delta of one"),
        pytest.param({"split_seed": "-1"}, "split_seed", id="a negative seed"),
    ],
)
def test_a_bad_upload_leaves_nothing_behind(upload, change, where):
    refused = upload(**change)
    assert (refused.status_code, refused["Content-Type"]) == (400, "application/problem+json"), refused.content
    problem = refused.json()
    assert where in problem["where"]
    assert problem["remedy"]
    assert str(settings.VEILMARK_VAR) not in problem["title"]
    assert not Cohort.objects.exists()
    assert not ContractResult.objects.exists()
    assert not any((settings.VEILMARK_VAR / "scratch").glob("*"))


def test_a_cohort_that_its_contract_refuses_leaves_the_result_alone(upload):
    refused = upload(archive(**{"images.npz": images(), "metadata.csv": table(age="131")}))
    assert refused.status_code == 400
    assert "age" in refused.json()["what"]
    assert not Cohort.objects.exists()
    assert not ContractResult.objects.get().passed
