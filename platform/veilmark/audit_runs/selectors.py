"""Reading audit runs: a custodian's own, every one for officers."""

from __future__ import annotations

from django.db.models import QuerySet

from veilmark.accounts.models import Role, User
from veilmark.accounts.permissions import require
from veilmark.audit_runs.models import AuditRun


def audit_runs_visible(user: User) -> QuerySet[AuditRun]:
    """Raises NotAllowedError."""
    require(user, "audit:view")
    runs = AuditRun.objects.select_related("synthetic_set__training_run__cohort", "requested_by", "job")
    if user.role == Role.CUSTODIAN:
        return runs.filter(synthetic_set__training_run__cohort__custodian=user)
    return runs
