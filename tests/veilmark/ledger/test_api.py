"""The ledger and jobs through the API: who sees what, and that a broken chain shows."""

import pytest
from django.conf import settings

from veilmark.jobs.models import Job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def test_events_are_listed_oldest_first_and_the_chain_is_verified(api, people, drafted):
    events = api(people.officer, "get", "ledger/events/").json()["results"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert "release:drafted" in [event["kind"] for event in events]
    verified = api(people.operator, "get", "ledger/events/verify/").json()
    assert (verified["ok"], verified["problem"]) == (True, None)
    assert verified["n_events"] >= len(events)
    (settings.VEILMARK_VAR / "ledger" / "head.json").unlink()
    broken = api(people.operator, "get", "ledger/events/verify/").json()
    assert not broken["ok"]
    assert "head" in broken["problem"]["what"]


def test_a_job_is_seen_by_who_asked_for_it_and_stopped_by_an_operator(api, people, cohort):
    assert api(people.custodian, "post", "training-runs/", {"cohort": str(cohort.pk)}).status_code == 201
    (job,) = api(people.custodian, "get", "jobs/").json()["results"]
    assert (job["task"], job["progress"]["state"]) == ("training_runs:train", "enqueued")
    assert api(people.officer, "get", "jobs/").json()["count"] == 0
    assert api(people.operator, "post", f"jobs/{job['id']}/cancel/").json()["progress"]["state"] == "cancelled"
    assert api(people.operator, "post", f"jobs/{job['id']}/cancel/").status_code == 409
    assert Job.objects.get().state == "cancelled"
