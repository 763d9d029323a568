"""What time does to grants: those that have ended lose their copy, those that last longer than it get it back.

A copy's row is never deleted: it names the recipient of what may leak years later.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from veilmark.access.copies import copy_ask
from veilmark.access.models import Grant, GrantCopy, RequestState
from veilmark.access.selectors import copy_zip
from veilmark.jobs.work import WorkState
from veilmark.ledger.services import event_append
from veilmark.releases.states import ReleaseState

SWEEP_TASK = "access:sweep"
GONE = (ReleaseState.REVOKED, ReleaseState.EXPIRED)


def access_sweep() -> None:
    """Called by the job: daily, and when a release was taken back. Run again, it finds that nothing is left."""
    grants_expire()
    copies_discard_ended()
    copies_restore()


@transaction.atomic
def grants_expire() -> None:
    """Requests whose grant is past its end say so."""
    ended = Grant.objects.select_for_update(of=("self",)).filter(
        request__state=RequestState.APPROVED, expires_at__lte=timezone.now()
    )
    for grant in ended.select_related("request"):
        grant.request.state = RequestState.EXPIRED
        grant.request.save(update_fields=["state", "updated_at"])
        event_append(kind="grant:expired", actor=None, subject=grant)


def copy_discard(grant: Grant, reason: str) -> None:
    """Delete the zip of a grant. First the file: where this is cut short, the row says that it is still to do."""
    for copy in GrantCopy.objects.filter(grant=grant):
        copy_zip(copy).unlink(missing_ok=True)
        with transaction.atomic():
            if (
                GrantCopy.objects.exclude(bundle_digest="")
                .filter(pk=copy.pk)
                .update(bundle_digest="", updated_at=timezone.now())
            ):
                payload = {"grant": str(grant.pk), "bundle_digest": copy.bundle_digest, "reason": reason}
                event_append(kind="grant_copy:deleted", actor=None, subject=copy, payload=payload)


def copies_discard_ended() -> None:
    """Delete the zips of all grants that have ended, and of releases that were taken back or have expired."""
    has_ended = Q(grant__revoked_at__isnull=False) | Q(grant__expires_at__lte=timezone.now())
    is_gone = Q(grant__request__release__state__in=GONE)
    copies = GrantCopy.objects.exclude(bundle_digest="").filter(has_ended | is_gone)
    for copy in copies.select_related("grant__request__release"):
        release = copy.grant.request.release
        copy_discard(copy.grant, f"the release is {release.state}" if release.state in GONE else "the grant has ended")


def copies_restore() -> None:
    """Have the zips made again of grants that are open once more, or whose file was lost."""
    is_open = Q(grant__revoked_at__isnull=True, grant__expires_at__gt=timezone.now())
    is_there = Q(grant__request__release__state=ReleaseState.RELEASED)
    for copy in GrantCopy.objects.filter(is_open, is_there, state=WorkState.DONE).select_related("grant"):
        if copy.bundle_digest and not copy_zip(copy).is_file():
            copy_discard(copy.grant, "the file was lost")
            copy.bundle_digest = ""
        if not copy.bundle_digest:
            copy_ask(grant=copy.grant, acting_user=None)
