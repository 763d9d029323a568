"""The jobs of audit runs."""

from uuid import UUID

from veilmark.audit_runs.models import AuditRun
from veilmark.audit_runs.services import audit_run_carry_out
from veilmark.jobs.context import JobContext
from veilmark.jobs.registry import task


@task("audit_runs:audit")
def audit(job: JobContext, *, audit_run_id: str) -> None:
    """Deterministic in its seed: run again after a crash, it finds the same."""
    run = AuditRun.objects.select_related("synthetic_set__training_run__cohort", "requested_by").get(
        pk=UUID(audit_run_id)
    )
    if not run.is_done:
        audit_run_carry_out(run=run, progress=job.progress)
