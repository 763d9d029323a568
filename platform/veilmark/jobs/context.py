"""What a task is given: its job, and a way to say how far it has come."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from uuid import UUID

from django.utils import timezone

from veilmark.accounts.models import User
from veilmark.core.errors import StateError
from veilmark.jobs.models import Job

SECONDS_BETWEEN_WRITES = 0.5


class CancelledError(StateError):
    """The job was cancelled while it ran; its task stops where it next reports."""


@dataclass(kw_only=True)
class JobContext:
    id: UUID
    created_by: User | None
    _written_at: float = field(default=-SECONDS_BETWEEN_WRITES, repr=False)

    def progress(self, done: int, total: int, message: str = "") -> None:
        """Call as often as you like (the signature of generators.base.Progress): few calls reach the database.

        Raises CancelledError once somebody has cancelled the job.
        """
        now = time.monotonic()
        if now - self._written_at < SECONDS_BETWEEN_WRITES and done < total:
            return
        self._written_at = now
        running = Job.objects.filter(id=self.id, state=Job.State.RUNNING)
        if not running.update(n_done=done, n_total=total, message=message[:500], updated_at=timezone.now()):
            raise CancelledError("was cancelled", where=f"job {self.id}")
