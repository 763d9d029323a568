"""Reading requests and grants: a researcher's own, all of them for officers."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from veilmark.access import agreement
from veilmark.access.models import AccessRequest, AgreementAcceptance, Grant
from veilmark.accounts.models import Role, User
from veilmark.core.errors import NotAllowedError

SEES_ALL = (Role.COMPLIANCE_OFFICER, Role.OPERATOR)


def requests_visible(user: User) -> QuerySet[AccessRequest]:
    """Raises NotAllowedError for roles that have no part in access."""
    requests = AccessRequest.objects.select_related("release", "researcher", "decided_by", "grant")
    if user.role in SEES_ALL:
        return requests
    if user.role == Role.RESEARCHER:
        return requests.filter(researcher=user)
    raise NotAllowedError("may not see requests", where=user.get_username(), remedy="ask a compliance officer")


def grants_visible(user: User) -> QuerySet[Grant]:
    """As `requests_visible`."""
    return Grant.objects.select_related("request__release", "request__researcher").filter(
        request__in=requests_visible(user)
    )


def has_accepted(user: User) -> bool:
    """Whether `user` accepted the agreement in its present wording."""
    return AgreementAcceptance.objects.filter(
        researcher=user, version=agreement.VERSION, text_digest=agreement.DIGEST
    ).exists()


def is_open(grant: Grant) -> bool:
    """Neither revoked nor past its end."""
    return grant.revoked_at is None and grant.expires_at > timezone.now()
