"""Runs, sets, audits and decisions through the API: asked for, shown, refused."""

import pytest

from veilmark.audit_runs.models import AuditRun
from veilmark.jobs.models import Job
from veilmark.synthetic_sets.models import SyntheticSet
from veilmark.training_runs.models import TrainingRun

pytestmark = [pytest.mark.django_db, pytest.mark.database]

NOBODY = "00000000-0000-4000-8000-000000000000"


def test_a_run_is_asked_for_and_its_progress_shown(api, people, cohort):
    made = api(people.custodian, "post", "training-runs/", {"cohort": str(cohort.pk), "epsilon": 3})
    assert made.status_code == 201, made.content
    Job.objects.update(state="running", n_done=30, n_total=120, message="step")
    run = api(people.officer, "get", f"training-runs/{made.json()['id']}/").json()
    assert (run["cohort"], run["target_epsilon"], run["state"]) == ("chest", 3.0, "enqueued")
    assert run["progress"] == {"state": "running", "n_done": 30, "n_total": 120, "percent": 25, "message": "step"}


@pytest.mark.parametrize(
    ("change", "status", "where"),
    [
        pytest.param({"cohort": NOBODY}, 404, "cohort", id="no such cohort"),
        pytest.param({"generator": "magic"}, 400, "generator", id="an unknown generator"),
        pytest.param({"epsilon": 0}, 400, "epsilon", id="no epsilon"),
        pytest.param({"epsilon": "nan"}, 400, "epsilon", id="an epsilon that is no number"),
        pytest.param({"epsilon": 99}, 400, "budget of cohort chest", id="more than the cohort has left"),
        pytest.param({"delta": 1}, 400, "delta", id="delta of one"),
        pytest.param({"image_size": 4}, 400, "image size", id="too small to be an image"),
        pytest.param({"accountant": "mine"}, 400, "accountant", id="an unknown accountant"),
        pytest.param({"config": []}, 400, "config", id="settings that are no table"),
    ],
)
def test_a_bad_plan_starts_nothing(api, people, training_run, change, status, where):
    plan = {"cohort": str(training_run.cohort_id), "epsilon": 2} | change
    refused = api(people.custodian, "post", "training-runs/", plan)
    assert refused.status_code == status
    assert where in refused.json()["where"]
    assert TrainingRun.objects.count() == 1


def test_a_set_is_asked_for_evenly_or_cell_by_cell(api, people, training_run):
    wish = {"training_run": str(training_run.pk), "seed": 5}
    even = api(people.custodian, "post", "synthetic-sets/", wish | {"n_images": 8})
    assert (even.status_code, even.json()["n_images"], even.json()["seed"]) == (201, 8, 5)
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
    ],
)
def test_a_bad_wish_draws_nothing(api, people, training_run, change):
    wish = {"training_run": str(training_run.pk)} | change
    refused = api(people.custodian, "post", "synthetic-sets/", wish)
    assert (refused.status_code, refused["Content-Type"]) == (400, "application/problem+json")
    assert not SyntheticSet.objects.exists()


def test_an_audit_is_asked_for_and_its_publishable_report_shown(api, people, synthetic_set):
    made = api(people.officer, "post", "audit-runs/", {"synthetic_set": str(synthetic_set.pk), "seed": 3})
    assert (made.status_code, made.json()["state"]) == (201, "enqueued")
    finished = AuditRun.objects.get(state="done")
    shown = api(people.custodian, "get", f"audit-runs/{finished.pk}/").json()
    assert shown["report"]["audience"] == "publishable"
    assert "internal" not in str(shown)


def test_a_decision_is_shown_rule_by_rule(api, people, in_review):
    (decision,) = api(people.officer, "get", "decisions/").json()["results"]
    assert (decision["outcome"], decision["phase"], decision["profile"]) == ("PASS", "endorsement", "internal")
    assert {"outcome", "reason", "citation"} <= decision["body"]["results"][0].keys()
