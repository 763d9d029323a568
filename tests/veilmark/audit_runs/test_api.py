"""Audit runs through the API: asked for, and shown in their publishable form alone."""

import pytest

from veilmark.audit_runs.models import AuditRun

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_an_audit_is_asked_for_and_its_publishable_report_shown(api, people, synthetic_set):
    made = api(people.officer, "post", "audit-runs/", {"synthetic_set": str(synthetic_set.pk), "seed": 3})
    assert (made.status_code, made.json()["state"]) == (201, "enqueued")
    finished = AuditRun.objects.get(state="done")
    shown = api(people.custodian, "get", f"audit-runs/{finished.pk}/").json()
    assert shown["report"]["audience"] == "publishable"
    assert "internal" not in str(shown)
