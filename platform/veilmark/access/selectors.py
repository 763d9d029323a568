"""Reading requests and grants: a researcher's own, all of them for officers."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from veilmark.access import agreement
from veilmark.access.models import AccessRequest, AgreementAcceptance, Grant, GrantCopy
from veilmark.accounts.models import Role, User
from veilmark.core.errors import NotAllowedError, StateError
from veilmark.jobs.work import WorkState
from veilmark.releases.models import Release
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
    return Grant.objects.select_related("request__release", "request__researcher", "copy").filter(
        request__in=requests_visible(user)
    )


def has_accepted(user: User) -> bool:
    """Whether `user` accepted the agreement in its present wording."""
    return AgreementAcceptance.objects.filter(
        researcher=user, version=agreement.VERSION, text_digest=agreement.DIGEST
    ).exists()


def copy_zip(copy: GrantCopy) -> Path:
    """Where the zip of a grant's copy lies."""
    return Path(settings.VEILMARK_VAR) / "copies" / f"{copy.pk}.zip"


def copy_digest(copy: GrantCopy) -> str:
    """`sha256:<hex>` of the zip as it lies on disk."""
    with copy_zip(copy).open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def copy_is_whole(copy: GrantCopy) -> bool:
    """Whether the zip on disk is the one that verified when it was made."""
    return copy_zip(copy).is_file() and copy_digest(copy) == copy.bundle_digest != ""


def is_open(grant: Grant) -> bool:
    """Neither revoked nor past its end."""
    return grant.revoked_at is None and grant.expires_at > timezone.now()


def ready_copy(grant: Grant, user: User) -> GrantCopy:
    """The copy that `grant` opens for `user`. Opens nothing: `download_open` decides and records.

    Raises NotAllowedError (another's grant, or ended), StateError (not released any more, or the copy is not ready).
    """
    require_own_open(grant, user)
    copy = GrantCopy.objects.select_related("grant__request__release").filter(grant=grant).first()
    where = f"release {grant.request.release.name}"
    if copy is not None and copy.state in {WorkState.ENQUEUED, WorkState.RUNNING}:
        raise StateError("your copy is being prepared", where=where, remedy="try again in a minute")
    if copy is None or not copy.is_ready:
        raise StateError("your copy is not prepared", where=where, remedy="have it prepared: veilmark download does")
    if not copy_zip(copy).is_file():
        raise StateError("the file of your copy is missing", where=where, remedy="its officers can say why")
    return copy


def require_own_open(grant: Grant, user: User) -> None:
    """Raises NotAllowedError (another's grant, or ended), StateError (not released any more)."""
    release = grant.request.release
    where = f"release {release.name}"
    if grant.request.researcher_id != user.pk or not is_open(grant):
        raise NotAllowedError("the grant is not yours or has ended", where=where, remedy="ask for access")
    if recall := recall_of(release):
        raise StateError(f"was recalled ({recall})", where=where, remedy="use no copy of it any more")
    if release.state != ReleaseState.RELEASED:
        raise StateError(f"is {release.get_state_display()}", where=where, remedy="its officers can say why")


def recall_of(release: Release) -> str:
    """Why the release was taken back; "" where it was not."""
    return release.state_reason if release.state == ReleaseState.REVOKED else ""
