"""Running one job, whoever calls: the worker's durable workflow, or a test in its own process."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from veilmark.core.errors import refusal_of
from veilmark.jobs.context import CancelledError, JobContext
from veilmark.jobs.models import Job
from veilmark.jobs.registry import task_named
from veilmark.ledger.services import event_append

logger = logging.getLogger(__name__)


def job_execute(job_id: UUID) -> str:
    """Run the job's task to its end, and return the job's state. A job that has ended is left as it is.

    A task's failure ends the job, not the caller: its one line stands in `Job.error`.
    """
    job = _start(job_id)
    if job.is_finished:
        return job.state
    context = JobContext(id=job.id, created_by=job.created_by)
    try:
        task_named(job.task)(context, **job.arguments)
    except CancelledError:
        return Job.State.CANCELLED
    except Exception as error:
        refusal = refusal_of(error)
        if refusal is None:
            logger.exception("job %s (%s) failed by a defect", job.id, job.task)
        return _finish(job_id, Job.State.FAILED, str(refusal or f"{type(error).__name__}: {error}").replace("\n", " "))
    return _finish(job_id, Job.State.DONE, "")


def job_abandon(job_id: UUID, reason: str) -> None:
    """End a job whose workflow has ended without it. Does nothing to a job that has ended."""
    _finish(job_id, Job.State.FAILED, reason)


@transaction.atomic
def _start(job_id: UUID) -> Job:
    job = Job.objects.select_for_update(of=("self",)).select_related("created_by").get(id=job_id)
    if not job.is_finished:
        job.state = Job.State.RUNNING
        job.started_at = job.started_at or timezone.now()
        job.save(update_fields=["state", "started_at", "updated_at"])
    return job


@transaction.atomic
def _finish(job_id: UUID, state: Job.State, error: str) -> str:
    job = Job.objects.select_for_update().get(id=job_id)
    if job.is_finished:  # cancelled while its last lines ran
        return job.state
    job.state, job.error, job.finished_at = state, error, timezone.now()
    if state == Job.State.DONE and job.n_total:
        job.n_done = job.n_total
    job.save()
    payload = {"task": job.task, "error": error} if error else {"task": job.task}
    event_append(kind=f"job:{state.value}", actor=None, subject=job, payload=payload)
    return job.state
