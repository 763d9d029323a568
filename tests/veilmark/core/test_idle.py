"""Fifteen idle minutes end a session; a page that polls by itself does not keep it alive."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from veilmark.jobs.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def nearly_over(people: Any) -> Client:
    """A signed-in client whose session ends in one minute."""
    client = Client()
    client.force_login(people.operator)
    Session.objects.update(expire_date=timezone.now() + timedelta(minutes=1))
    return client


def minutes_left() -> float:
    return (Session.objects.get().expire_date - timezone.now()).total_seconds() / 60


def test_an_act_renews_the_session(nearly_over: Client) -> None:
    assert nearly_over.get("/").status_code == 200
    assert minutes_left() > 14


def test_polling_a_job_does_not(nearly_over: Client, people: Any) -> None:
    job = Job.objects.create(task="training_runs:train", created_by=people.operator)
    assert nearly_over.get(f"/jobs/{job.id}/progress").status_code == 200
    assert minutes_left() < 2
