"""What training runs, synthetic sets and audit runs have in common: a row that one job brings to its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import models, transaction
from django.utils import timezone

from veilmark.accounts.models import User
from veilmark.core.errors import ApplicationError, refusal_of
from veilmark.core.models import BaseModel
from veilmark.jobs.models import Job
from veilmark.ledger.services import event_append

MAX_SEED = 2**63 - 1


class WorkState(models.TextChoices):
    ENQUEUED = "enqueued", "waiting"
    RUNNING = "running", "running"
    DONE = "done", "done"
    FAILED = "failed", "failed"


class Work(BaseModel):
    """A row whose content a job makes. It is DONE only together with its results, in one transaction."""

    state = models.CharField(max_length=20, choices=WorkState.choices, default=WorkState.ENQUEUED)
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    @property
    def is_done(self) -> bool:
        return self.state == WorkState.DONE


def require_seed(seed: int) -> None:
    """Seeds that every generator of random numbers here takes. Raises ApplicationError."""
    if not 0 <= seed <= MAX_SEED:
        raise ApplicationError(f"is {seed}", where="seed", remedy="choose 0 or a larger whole number below 2^63")


@contextmanager
def working(work: Work, *, kind: str, acting_user: User | None) -> Iterator[None]:
    """Mark `work` as running inside the block, and as failed with one line where the block raises.

    kind: the first word of the ledger's events, such as `training_run`.
    """
    _move(work, WorkState.RUNNING, event=f"{kind}:started", acting_user=acting_user)
    try:
        yield
    except Exception as error:
        refusal = refusal_of(error)
        work.error = str(refusal) if refusal else f"an internal error ({type(error).__name__}); see the worker's log"
        work.finished_at = timezone.now()
        _move(work, WorkState.FAILED, event=f"{kind}:failed", acting_user=acting_user)
        raise


@transaction.atomic
def _move(work: Work, state: WorkState, *, event: str, acting_user: User | None) -> None:
    work.state = state
    work.save(update_fields=["state", "error", "finished_at", "updated_at"])
    event_append(kind=event, actor=acting_user, subject=work, payload={"error": work.error} if work.error else {})
