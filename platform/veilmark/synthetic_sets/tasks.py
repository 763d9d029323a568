"""The jobs of synthetic sets."""

from uuid import UUID

from veilmark.jobs.context import JobContext
from veilmark.jobs.registry import task
from veilmark.synthetic_sets.models import SyntheticSet
from veilmark.synthetic_sets.services import synthetic_set_draw


@task("synthetic_sets:draw")
def draw(job: JobContext, *, synthetic_set_id: str) -> None:
    """Run again after a crash, it draws the same images from the same seed; their marks are drawn anew."""
    synthetic_set = SyntheticSet.objects.select_related("training_run__cohort", "created_by").get(
        pk=UUID(synthetic_set_id)
    )
    if not synthetic_set.is_done:
        synthetic_set_draw(synthetic_set=synthetic_set, progress=job.progress)
