"""Durable workflows: `dbos` behind four functions, in a worker process alone.

One workflow is one job, and bears its id, so handing a job over twice starts it once. A workflow that its worker's
death interrupted is run again from the start by the next worker that takes the same name; tasks are written for that.
The engine keeps its state in a database of its own, as portable JSON (never pickle), and calls nobody.
"""

from __future__ import annotations

from uuid import UUID

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID
from django.conf import settings
from django.db import connections

from veilmark.jobs.execution import job_execute

QUEUE = "jobs"
MAX_ATTEMPTS = 20  # a job that killed its worker so often would kill the next one too
POLLING_SECONDS = 0.25
ENDED = {"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}


@DBOS.workflow(name="job_execute", max_recovery_attempts=MAX_ATTEMPTS)
def _workflow(job_id: str) -> str:
    try:
        return str(job_execute(UUID(job_id)))
    finally:
        connections.close_all()  # the engine's threads come and go; a connection must not outlive its thread


def start(executor_id: str, *, concurrency: int) -> None:
    """Open the engine's database, take up what this executor's dead predecessor left, and listen for jobs."""
    config: DBOSConfig = {
        "name": "veilmark",
        "system_database_url": settings.JOBS_DATABASE_URL,
        "application_version": settings.JOBS_APPLICATION_VERSION,
        "executor_id": executor_id,
        "serializer": DBOSPortableJSONSerializer(),
        "enable_otlp": False,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=concurrency, polling_interval_sec=POLLING_SECONDS)


def stop(*, patience_seconds: int) -> None:
    """Take nothing new, and give running jobs `patience_seconds` to end."""
    DBOS.destroy(workflow_completion_timeout_sec=patience_seconds)


def hand_over(job_id: UUID) -> None:
    with SetWorkflowID(str(job_id)):
        DBOS.enqueue_workflow(QUEUE, _workflow, str(job_id))


def has_ended(job_id: UUID) -> bool | None:
    """Has the job's workflow ended? None where the engine does not know the job."""
    status = DBOS.get_workflow_status(str(job_id))
    return None if status is None else status.status in ENDED


def take_over(executor_id: str) -> None:
    """Put back in the queue what a dead executor was running. The caller must know that it is dead (`slots.py`)."""
    DBOS._recover_pending_workflows([executor_id])  # noqa: SLF001 - what dbos's own cloud calls; it has no public name
