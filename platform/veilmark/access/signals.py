"""A release that was taken back takes its copies along."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from veilmark.access.sweep import GONE, SWEEP_TASK
from veilmark.accounts.models import User
from veilmark.jobs.services import job_enqueue
from veilmark.releases.models import Release
from veilmark.releases.signals import release_moved


@receiver(release_moved)
def moved(release: Release, acting_user: User | None, **_: Any) -> None:
    if release.state in GONE:
        job_enqueue(task=SWEEP_TASK, arguments={}, acting_user=acting_user, subject=release)
