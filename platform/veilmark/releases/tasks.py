"""The jobs of releases."""

from uuid import UUID

from veilmark.jobs.context import JobContext
from veilmark.jobs.registry import task
from veilmark.releases.models import Release
from veilmark.releases.publication import release_publish, release_recall
from veilmark.releases.services import release_assess
from veilmark.releases.states import ReleaseState
from veilmark.releases.trust_roots import KEEP_TASK, roots_keep


@task("releases:assess")
def assess(job: JobContext, *, release_id: str) -> None:
    """Run again after a crash, it finds the audit where it was and decides anew."""
    release = Release.objects.select_related("audit_run").get(pk=UUID(release_id))
    if release.state == ReleaseState.AUDITING:
        release_assess(release=release, progress=job.progress)


@task("releases:publish")
def publish(job: JobContext, *, release_id: str) -> None:
    """Run again after a crash, it writes the bundle anew: until the state moves nothing was published."""
    release = Release.objects.select_related("audit_run").get(pk=UUID(release_id))
    if release.state == ReleaseState.APPROVED:
        release_publish(release=release, progress=job.progress)


@task("releases:recall")
def recall(_: JobContext, *, release_id: str) -> None:
    """Run again after a crash, it signs the recall anew: a later one says the same."""
    release_recall(release=Release.objects.get(pk=UUID(release_id)))


@task(KEEP_TASK)
def keep_roots(_: JobContext) -> None:
    """Asked for by every change of what receivers are told, and daily. Run again, it finds that nothing is left."""
    roots_keep()
