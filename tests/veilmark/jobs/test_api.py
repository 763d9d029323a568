"""Jobs through the API: who sees them, who stops them."""

import pytest

from veilmark.jobs.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_a_job_is_seen_by_who_asked_for_it_and_stopped_by_an_operator(api, people, cohort):
    assert api(people.custodian, "post", "training-runs/", {"cohort": str(cohort.pk)}).status_code == 201
    (job,) = api(people.custodian, "get", "jobs/").json()["results"]
    assert (job["task"], job["progress"]["state"]) == ("training_runs:train", "enqueued")
    assert api(people.officer, "get", "jobs/").json()["count"] == 0
    assert api(people.operator, "post", f"jobs/{job['id']}/cancel/").json()["progress"]["state"] == "cancelled"
    assert api(people.operator, "post", f"jobs/{job['id']}/cancel/").status_code == 409
    assert Job.objects.get().state == "cancelled"
