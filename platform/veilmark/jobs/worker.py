"""The worker process: the engine, and a sweep that asks for the day's work, starts what was enqueued and takes over
from the dead."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType

from django.db import OperationalError, connection
from django.db.models import QuerySet
from django.utils import timezone

from veilmark.jobs import engine
from veilmark.jobs.daily import daily_enqueue
from veilmark.jobs.execution import job_abandon
from veilmark.jobs.models import Job
from veilmark.jobs.slots import acquire_any, dead_slots, executor_id, slots

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 0.3
TAKE_OVER_SECONDS = 3.0
DAILY_SECONDS = 60.0  # how often a worker looks whether a new day has begun
PATIENCE_SECONDS = 5


class Worker:
    """`run()` returns when told to stop, or with `until_idle` when no job is left open."""

    def __init__(self, *, until_idle: bool, concurrency: int = 1) -> None:
        self._until_idle = until_idle
        self._concurrency = concurrency
        self._stopping = threading.Event()
        self._locks = slots()
        self._slot = acquire_any(self._locks)
        self._taken_over_at = 0.0
        self._looked_at = -DAILY_SECONDS

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        engine.start(executor_id(self._slot), concurrency=self._concurrency)
        while not self._stopping.is_set():
            try:
                self._sweep()
                if self._until_idle and not _open_jobs().exists():
                    break
            except OperationalError as error:  # busy or restarting; what was not swept is swept next time
                logger.warning("the database did not answer: %s", error)
                connection.close()
            self._stopping.wait(SWEEP_SECONDS)
        # The name is not let go here: a task that outlasts the patience runs on until the process ends.
        engine.stop(patience_seconds=PATIENCE_SECONDS if _open_jobs().exists() else 0)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _sweep(self) -> None:
        self._locks.require_alive()
        if time.monotonic() - self._looked_at > DAILY_SECONDS:
            self._looked_at = time.monotonic()
            daily_enqueue()
        for job in Job.objects.filter(state=Job.State.ENQUEUED, handed_over_at=None).order_by("created_at"):
            engine.hand_over(job.id)
            Job.objects.filter(id=job.id).update(handed_over_at=timezone.now())
        if time.monotonic() - self._taken_over_at > TAKE_OVER_SECONDS:
            self._taken_over_at = time.monotonic()
            self._take_over()

    def _take_over(self) -> None:
        with dead_slots(self._locks, self._slot) as dead:
            for slot in dead:
                engine.take_over(executor_id(slot))
        for job in _open_jobs().exclude(handed_over_at=None):
            ended = engine.has_ended(job.id)
            if ended is None:  # the engine's database was lost: hand the job over again
                engine.hand_over(job.id)
            elif ended:
                job_abandon(job.id, f"its worker died {engine.MAX_ATTEMPTS} times, or could not reach the database")


def _open_jobs() -> QuerySet[Job]:
    return Job.objects.filter(state__in=[Job.State.ENQUEUED, Job.State.RUNNING])
