"""Reading cohorts: who may see which, and their images decrypted in memory."""

from __future__ import annotations

import io

from django.db.models import QuerySet

from generators.data import ImageSet
from veilmark.accounts.models import Role, User
from veilmark.accounts.permissions import require
from veilmark.cohorts.models import Cohort, ContractResult
from veilmark.core.errors import IntegrityError
from veilmark.core.storage import file_store


def cohorts_visible(user: User) -> QuerySet[Cohort]:
    """A custodian's own cohorts; all of them for officers and operators. Raises NotAllowedError."""
    require(user, "cohort:view")
    cohorts = Cohort.objects.select_related("custodian")
    return cohorts.filter(custodian=user) if user.role == Role.CUSTODIAN else cohorts


def contract_results_visible(user: User) -> QuerySet[ContractResult]:
    """As `cohorts_visible`, refused uploads among them."""
    require(user, "cohort:view")
    results = ContractResult.objects.select_related("cohort", "custodian")
    return results.filter(custodian=user) if user.role == Role.CUSTODIAN else results


def cohort_images(cohort: Cohort) -> ImageSet:
    """The cohort's images with their columns. They exist unencrypted in memory only.

    Raises IntegrityError where the file is not what was taken in, CryptoError where it was tampered with.
    """
    data = file_store().read(cohort.file_name, wrapped_key=bytes(cohort.wrapped_key))
    images = ImageSet.read(io.BytesIO(data), where=cohort.name)
    if images.digest != cohort.data_digest:
        raise IntegrityError(
            "is not the data that was taken in", where=f"cohort {cohort.name}", remedy="restore a backup"
        )
    return images
