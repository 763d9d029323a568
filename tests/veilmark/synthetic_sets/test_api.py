"""Synthetic sets through the API: asked for evenly or cell by cell, refused."""

import pytest

from veilmark.synthetic_sets.models import SyntheticSet

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_a_set_is_asked_for_evenly_or_cell_by_cell(api, people, training_run):
    wish = {"training_run": str(training_run.pk), "seed": 5}
    even = api(people.custodian, "post", "synthetic-sets/", wish | {"n_images": 8})
    assert (even.status_code, even.json()["n_images"], even.json()["seed"]) == (201, 8, 5)
    assert even.json()["visible_label"] == "none"
    labelled = api(people.custodian, "post", "synthetic-sets/", wish | {"n_images": 8, "visible_label": "border"})
    assert (labelled.status_code, labelled.json()["visible_label"]) == (201, "border")
    cells = [{"label": "nodule", "sex": "F", "n": 3}]
    assert api(people.custodian, "post", "synthetic-sets/", wish | {"counts": cells}).json()["n_images"] == 3
    preview = api(people.custodian, "get", f"synthetic-sets/{even.json()['id']}/preview/", Accept="image/png")
    assert (preview.status_code, preview.json()["what"]) == (409, "is enqueued")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="nothing asked for"),
        pytest.param({"n_images": -1}, id="fewer than none"),
        pytest.param({"n_images": 10**9}, id="far too many"),
        pytest.param({"counts": [{"label": "nodule"}]}, id="a cell without a number"),
        pytest.param({"counts": "many"}, id="counts that are no list"),
        pytest.param({"n_images": 8, "seed": -1}, id="a negative seed"),
        pytest.param({"n_images": 8, "visible_label": "everywhere"}, id="a label that is none"),
        pytest.param({"n_images": 8, "visible_label": "burned-in"}, id="a label that hides 64 pixels"),
    ],
)
def test_a_bad_wish_draws_nothing(api, people, training_run, change):
    wish = {"training_run": str(training_run.pk)} | change
    refused = api(people.custodian, "post", "synthetic-sets/", wish)
    assert (refused.status_code, refused["Content-Type"]) == (400, "application/problem+json")
    assert not SyntheticSet.objects.exists()
