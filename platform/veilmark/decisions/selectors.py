"""Reading decisions."""

from __future__ import annotations

from django.db.models import QuerySet

from veilmark.accounts.models import Role, User
from veilmark.accounts.permissions import require
from veilmark.decisions.models import Decision


def decisions_visible(user: User) -> QuerySet[Decision]:
    """A custodian's own, every one for officers. Raises NotAllowedError."""
    require(user, "audit:view")
    decisions = Decision.objects.select_related("audit_run__synthetic_set__training_run__cohort")
    if user.role == Role.CUSTODIAN:
        return decisions.filter(audit_run__synthetic_set__training_run__cohort__custodian=user)
    return decisions
