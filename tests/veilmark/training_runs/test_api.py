"""Training runs through the API: asked for, shown with their progress, refused."""

import pytest

from veilmark.jobs.models import Job
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
