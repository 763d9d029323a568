"""The jobs of access."""

from uuid import UUID

from veilmark.access.copies import copy_prepare
from veilmark.access.models import GrantCopy
from veilmark.access.sweep import SWEEP_TASK, access_sweep
from veilmark.jobs.context import JobContext
from veilmark.jobs.registry import task


@task("access:prepare")
def prepare(job: JobContext, *, copy_id: str) -> None:
    """Run again after a crash, it makes the copy anew: until the row says so there is none."""
    copies = GrantCopy.objects.select_related("grant__request__release", "grant__request__researcher")
    copy = copies.get(pk=UUID(copy_id))
    if not copy.is_ready:
        copy_prepare(copy=copy, progress=job.progress)


@task(SWEEP_TASK)
def sweep(_: JobContext) -> None:
    """Daily, and when a release was taken back."""
    access_sweep()
