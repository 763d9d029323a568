"""Asking for a release, deciding, downloading. The rules are evaluated again before every download."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from veilmark.access import agreement
from veilmark.access.copies import copy_ask
from veilmark.access.models import AccessRequest, AgreementAcceptance, Download, Grant, GrantCopy, RequestState
from veilmark.access.selectors import copy_is_whole, copy_zip, has_accepted, ready_copy
from veilmark.access.sweep import copy_discard
from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.decisions.models import Outcome
from veilmark.decisions.services import decision_make
from veilmark.ledger.services import event_append
from veilmark.ledger.verify import ledger_verify
from veilmark.releases.models import Release
from veilmark.releases.publication import endorsement_facts
from veilmark.releases.states import ReleaseState

MAX_GRANT_DAYS = 365


@transaction.atomic
def agreement_accept(*, acting_user: User) -> AgreementAcceptance:
    """Accept the agreement in its present wording; accepting twice changes nothing."""
    require(acting_user, "agreement:accept")
    acceptance, created = AgreementAcceptance.objects.get_or_create(
        researcher=acting_user, version=agreement.VERSION, defaults={"text_digest": agreement.DIGEST}
    )
    if created:
        payload = {"version": agreement.VERSION, "text_digest": agreement.DIGEST}
        event_append(kind="agreement:accepted", actor=acting_user, subject=acceptance, payload=payload)
    return acceptance


@transaction.atomic
def request_create(*, release: Release, purpose: str, project: str, acting_user: User) -> AccessRequest:
    """Ask for a release. Raises NotAllowedError (role, agreement), StateError (not released), ApplicationError."""
    require(acting_user, "request:create")
    where = f"release {release.name}"
    if not has_accepted(acting_user):
        raise NotAllowedError("the agreement is not accepted", where=where, remedy="accept it first")
    if release.state != ReleaseState.RELEASED:
        raise StateError(f"is {release.get_state_display()}", where=where, remedy="ask for a released one")
    permitted = permitted_purposes(release)
    if purpose not in permitted:
        raise ApplicationError(
            f"purpose {purpose!r} is not permitted", where=where, remedy=f"choose {', '.join(permitted)}"
        )
    if not project.strip():
        raise ApplicationError("says nothing", where="project", remedy="say what the images are for, in a sentence")
    request = AccessRequest.objects.create(
        release=release, researcher=acting_user, purpose=purpose, project=project.strip()
    )
    event_append(kind="request:submitted", actor=acting_user, subject=request, payload={"purpose": purpose})
    return request


def permitted_purposes(release: Release) -> list[str]:
    """The purposes that the cohort's custodian allowed (GDPR Art. 5(1)(b))."""
    return list(release.synthetic_set.training_run.cohort.purposes)


@transaction.atomic
def request_decide(
    *, request: AccessRequest, approve: bool, reason: str, acting_user: User, n_days: int = 90
) -> AccessRequest:
    """An officer grants a request until a date, or rejects it. Raises NotAllowedError, StateError, ApplicationError."""
    require(acting_user, "request:decide")
    request = AccessRequest.objects.select_for_update().select_related("release").get(pk=request.pk)
    if request.state != RequestState.SUBMITTED:
        raise StateError(f"is {request.state}", where="request", remedy="decide on a submitted one")
    if not reason.strip():
        raise ApplicationError("no reason is given", where="request", remedy="say why, in a sentence")
    expires_at = _end_after(n_days)
    request.state = RequestState.APPROVED if approve else RequestState.REJECTED
    request.decided_by, request.reason = acting_user, reason.strip()
    request.save()
    if approve:
        grant = Grant.objects.create(request=request, expires_at=expires_at)
        copy_ask(grant=grant, acting_user=acting_user)
    payload = {"reason": request.reason, "n_days": n_days if approve else 0}
    event_append(kind=f"request:{request.state}", actor=acting_user, subject=request, payload=payload)
    return request


def _end_after(n_days: int) -> datetime:
    """Raises ApplicationError for none or too many days."""
    if not 1 <= n_days <= MAX_GRANT_DAYS:
        raise ApplicationError(f"is {n_days}", where="days", remedy=f"choose 1 to {MAX_GRANT_DAYS}")
    return timezone.now() + timedelta(days=n_days)


@transaction.atomic
def grant_renew(*, grant: Grant, n_days: int, reason: str, acting_user: User) -> None:
    """An officer lets a grant last `n_days` from now, be it open or past its end; its copy is made again as it was.

    Raises NotAllowedError, StateError (revoked, or the release is not released), ApplicationError (reason, days).
    """
    require(acting_user, "request:decide")
    grant = Grant.objects.select_for_update(of=("self",)).select_related("request__release").get(pk=grant.pk)
    release = grant.request.release
    if not reason.strip():
        raise ApplicationError("no reason is given", where="grant", remedy="say why, in a sentence")
    if grant.revoked_at:
        raise StateError("is revoked", where="grant", remedy="the researcher can ask anew")
    if release.state != ReleaseState.RELEASED:
        raise StateError(
            f"is {release.get_state_display()}", where=f"release {release.name}", remedy="renew it once it is released"
        )
    grant.expires_at, grant.request.state = _end_after(n_days), RequestState.APPROVED
    grant.save(update_fields=["expires_at", "updated_at"])
    grant.request.save(update_fields=["state", "updated_at"])
    copy_ask(grant=grant, acting_user=acting_user)
    payload = {"reason": reason.strip(), "n_days": n_days}
    event_append(kind="grant:renewed", actor=acting_user, subject=grant, payload=payload)


@transaction.atomic
def grant_revoke(*, grant: Grant, reason: str, acting_user: User) -> None:
    """End a grant at once. Raises NotAllowedError, StateError, ApplicationError (no reason)."""
    require(acting_user, "request:decide")
    if not reason.strip():
        raise ApplicationError("no reason is given", where="grant", remedy="say why, in a sentence")
    if grant.revoked_at:
        raise StateError("is revoked already", where="grant", remedy="nothing is left to do")
    grant.revoked_at = timezone.now()
    grant.save(update_fields=["revoked_at", "updated_at"])
    grant.request.state = RequestState.REVOKED
    grant.request.save(update_fields=["state", "updated_at"])
    event_append(kind="grant:revoked", actor=acting_user, subject=grant, payload={"reason": reason})
    # robust: what cannot be deleted now is deleted by the sweep
    transaction.on_commit(lambda: copy_discard(grant, "the grant was revoked"), robust=True)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A file that may be sent, from first to last byte inclusive."""

    path: Path
    first_byte: int
    last_byte: int
    n_total: int
    digest: str


def download_open(*, grant: Grant, first_byte: int, last_byte: int | None, acting_user: User) -> Delivery:
    """Check everything anew, record the download, and say which bytes to send. last_byte None: to the end.

    Raises NotAllowedError (another's grant, ended, or the rules say no) and as `ready_copy` does.
    """
    require(acting_user, "download")
    release = grant.request.release
    copy = ready_copy(grant, acting_user)
    n_total = copy_zip(copy).stat().st_size
    last = n_total - 1 if last_byte is None else min(last_byte, n_total - 1)
    _require_decision(copy, acting_user)
    with transaction.atomic():
        download = Download.objects.create(
            grant=grant, first_byte=first_byte, last_byte=last, n_total=n_total, bundle_digest=copy.bundle_digest
        )
        payload = {
            "release": release.name,
            "first_byte": first_byte,
            "last_byte": last,
            "digest": copy.bundle_digest,
        }
        event_append(kind="release:downloaded", actor=acting_user, subject=download, payload=payload)
    return Delivery(
        path=copy_zip(copy), first_byte=first_byte, last_byte=last, n_total=n_total, digest=copy.bundle_digest
    )


def _require_decision(copy: GrantCopy, user: User) -> None:
    grant = copy.grant
    release = grant.request.release
    if release.audit_run is None:
        raise StateError("was never audited", where=f"release {release.name}", remedy="its officers can say why")
    facts = endorsement_facts(release) | {
        "manifest_verified": copy_is_whole(copy),
        "ledger_verified": ledger_verify().ok,
        "purpose_permitted": grant.request.purpose in permitted_purposes(release),
        "agreement_accepted": has_accepted(user),
    }
    decision = decision_make(
        audit_run=release.audit_run, profile=release.profile, phase="download", facts=facts, acting_user=user
    )
    if decision.outcome != Outcome.PASS:
        raise NotAllowedError(decision.reason, where=f"release {release.name}", remedy="its officers can say why")
