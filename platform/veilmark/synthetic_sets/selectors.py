"""Reading synthetic sets: rows that a person may see, and images as they lie in the final files."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet

from veilmark.accounts.models import Role, User
from veilmark.accounts.permissions import require
from veilmark.synthetic_sets.models import SyntheticSet


def synthetic_sets_visible(user: User) -> QuerySet[SyntheticSet]:
    """A custodian's own sets; all of them for officers and clinicians. Raises NotAllowedError."""
    require(user, "synthetic_set:view")
    sets = SyntheticSet.objects.select_related("training_run__cohort", "created_by", "job")
    return sets.filter(training_run__cohort__custodian=user) if user.role == Role.CUSTODIAN else sets


def set_folder(synthetic_set: SyntheticSet) -> Path:
    """Where the set's final files lie: marked synthetic images, not yet released."""
    return Path(settings.VEILMARK_VAR) / "synthetic_sets" / str(synthetic_set.pk)
