"""Work that comes back every day, with nobody to think of it.

An app names it: `daily_jobs` of its AppConfig lists tasks that take no arguments. The workers' sweep asks for each
once a day (UTC), all workers together: the job's key holds the date.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from django.apps import apps
from django.db import IntegrityError
from django.utils import timezone

from veilmark.jobs.models import Job
from veilmark.jobs.services import job_enqueue


def daily_enqueue(now: datetime | None = None) -> None:
    """Ask for what was not asked for today."""
    day = (now or timezone.now()).date().isoformat()
    for name in _tasks():
        key = f"{name} {day}"
        if not Job.objects.filter(key=key).exists():
            with suppress(IntegrityError):  # another worker was first
                job_enqueue(task=name, arguments={}, acting_user=None, key=key)


def _tasks() -> Iterator[str]:
    for config in apps.get_app_configs():
        yield from getattr(config, "daily_jobs", ())
