"""Reading training runs: a custodian's own, every run for officers and operators."""

from __future__ import annotations

from django.db.models import QuerySet

from veilmark.accounts.models import Role, User
from veilmark.accounts.permissions import require
from veilmark.training_runs.models import TrainingRun


def training_runs_visible(user: User) -> QuerySet[TrainingRun]:
    """Raises NotAllowedError."""
    require(user, "cohort:view")
    runs = TrainingRun.objects.select_related("cohort", "trainer", "job")
    return runs.filter(cohort__custodian=user) if user.role == Role.CUSTODIAN else runs
