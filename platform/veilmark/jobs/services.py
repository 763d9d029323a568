"""Asking for long work.

The job's row is the outbox: it is written in the transaction of the change that needs the work, so neither is there
without the other. A worker's sweep hands rows over to the durable workflows (`workflows.py`); the web process never
opens their database.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.core.errors import StateError
from veilmark.core.models import label_of
from veilmark.jobs.models import Job
from veilmark.jobs.registry import task_named
from veilmark.ledger.services import event_append


@transaction.atomic
def job_enqueue(
    *,
    task: str,
    arguments: Mapping[str, Any],
    acting_user: User | None,
    subject: models.Model | None = None,
    key: str | None = None,
) -> Job:
    """Ask for `task` with JSON `arguments`. Call inside the transaction of the change that needs it.

    key: asking twice with the same key gives the first job back. Raises NotFoundError for an unknown task.
    """
    task_named(task)
    if key is not None and (present := Job.objects.filter(key=key).first()):
        return present
    job = Job.objects.create(
        task=task,
        arguments=dict(arguments),
        key=key,
        created_by=acting_user,
        subject_type=label_of(subject) if subject else "",
        subject_id=str(subject.pk) if subject else "",
    )
    event_append(kind="job:enqueued", actor=acting_user, subject=job, payload={"task": task, "subject": job.subject_id})
    return job


@transaction.atomic
def job_cancel(*, job: Job, acting_user: User) -> Job:
    """Stop a job: at once where it has not started, else where its task next reports progress."""
    require(acting_user, "jobs:cancel")
    open_states = (Job.State.ENQUEUED, Job.State.RUNNING)
    changed = Job.objects.filter(id=job.id, state__in=open_states).update(
        state=Job.State.CANCELLED, finished_at=timezone.now()
    )
    if not changed:
        raise StateError("has ended already", where=f"job {job.id}", remedy="nothing is left to cancel")
    event_append(kind="job:cancelled", actor=acting_user, subject=job)
    job.refresh_from_db()
    return job


def job_wait(job: Job, timeout: float, *, poll_seconds: float = 0.2) -> Job:
    """Wait until a worker has finished the job. Raises StateError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        job.refresh_from_db()
        if job.is_finished:
            return job
        if time.monotonic() > deadline:
            remedy = "is a worker running? (manage.py worker)"
            raise StateError(f"is {job.state} after {timeout:g} s", where=f"job {job.id}", remedy=remedy)
        time.sleep(poll_seconds)
