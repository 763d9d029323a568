"""Reading requests and grants: a researcher's own, all of them for officers."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from veilmark.access import agreement
from veilmark.access.models import AccessRequest, AgreementAcceptance, Grant
from veilmark.accounts.models import Role, User
from veilmark.core.errors import NotAllowedError, NotFoundError, StateError
from veilmark.releases.selectors import bundle_zip
from veilmark.releases.states import ReleaseState

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


def bundle_size(grant: Grant, user: User) -> int:
    """Bytes of the zip that `grant` opens for `user`. Opens nothing: `download_open` decides and records.

    Raises NotAllowedError (another's grant, or ended), StateError (not released any more), NotFoundError.
    """
    release = grant.request.release
    where = f"release {release.name}"
    if grant.request.researcher_id != user.pk or not is_open(grant):
        raise NotAllowedError("the grant is not yours or has ended", where=where, remedy="ask for access")
    if release.state != ReleaseState.RELEASED:
        raise StateError(f"is {release.get_state_display()}", where=where, remedy="its officers can say why")
    path = bundle_zip(release)
    if not path.is_file():
        raise NotFoundError("its bundle is missing", where=where, remedy="its officers can say why")
    return path.stat().st_size
