"""The jobs of training runs."""

from veilmark.jobs.context import JobContext
from veilmark.jobs.registry import task
from veilmark.training_runs.models import TrainingRun
from veilmark.training_runs.services import training_run_carry_out


@task("training_runs:train")
def train(job: JobContext, *, training_run_id: str) -> None:
    """Resumed after a crash from the run folder's checkpoint; the spend is never counted short."""
    run = TrainingRun.objects.select_related("cohort", "trainer").get(pk=training_run_id)
    if not run.is_done:
        training_run_carry_out(run=run, progress=job.progress)
