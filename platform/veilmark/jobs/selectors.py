"""Reading jobs: one's own, all of them for operators."""

from __future__ import annotations

from django.db.models import QuerySet

from veilmark.accounts.models import Role, User
from veilmark.jobs.models import Job


def jobs_visible(user: User) -> QuerySet[Job]:
    return Job.objects.all() if user.role == Role.OPERATOR else Job.objects.filter(created_by=user)
