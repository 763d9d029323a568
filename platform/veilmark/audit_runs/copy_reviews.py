"""People look at flagged pairs and say which are copies: every look and every answer is an event."""

from __future__ import annotations

from django.db import transaction

from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.audit_runs.copies import FlaggedPair, flagged_pair, pair_png
from veilmark.audit_runs.models import AuditRun, CopyAnswer, CopyReview
from veilmark.audit_runs.selectors import maker_of
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.ledger.chain import canonical
from veilmark.ledger.selectors import events_of
from veilmark.ledger.services import event_append

SEEN, REVIEWED = "audit_run:copy_seen", "audit_run:copy_reviewed"


def require_reviewer(run: AuditRun, user: User) -> None:
    """Raises NotAllowedError (role, or made the set), StateError before the audit is done."""
    require(user, "copies:review")
    part = maker_of(run, user)
    if part:
        raise NotAllowedError(f"is {part}", where=user.get_username(), remedy="another officer must do this")
    if not run.is_done:
        raise StateError(f"is {run.state}", where=str(run), remedy="wait until it is done")


def copy_pair_show(*, run: AuditRun, number: int, acting_user: User) -> bytes:
    """The pair as a PNG, for this one look. Raises as `require_reviewer`; NotFoundError; IntegrityError."""
    require_reviewer(run, acting_user)
    picture = pair_png(run, flagged_pair(run, number))
    with transaction.atomic():
        event_append(kind=SEEN, actor=acting_user, subject=run, payload={"pair": number})
    return picture


@transaction.atomic
def copy_review_record(*, run: AuditRun, number: int, answer: str, reason: str, acting_user: User) -> CopyReview:
    """What a person says of a pair. It supersedes what the same person said before; the earlier row stays.

    Raises as `require_reviewer`; NotFoundError, ApplicationError; StateError for a pair that they never looked at.
    """
    require_reviewer(run, acting_user)
    pair = flagged_pair(run, number)
    if answer not in CopyAnswer.values:
        raise ApplicationError(f"is {answer!r}", where="answer", remedy=f"choose one of {', '.join(CopyAnswer.values)}")
    if not reason.strip():
        raise ApplicationError("no reason is given", where=f"pair {number} of {run}", remedy="say why, in a sentence")
    _require_seen(run, pair, acting_user)
    AuditRun.objects.select_for_update().get(pk=run.pk)  # two people who answer at once stand in a row
    review = CopyReview.objects.create(
        audit_run=run,
        sequence=run.copy_reviews.count() + 1,
        pair=pair.number,
        reviewer=acting_user,
        answer=answer,
        reason=reason.strip(),
    )
    # The reason stays in its row: it may describe a person's image, and the ledger is never cut.
    payload = {"pair": pair.number, "answer": answer, "content_root": run.content_root}
    event_append(kind=REVIEWED, actor=acting_user, subject=run, payload=payload)
    return review


def _require_seen(run: AuditRun, pair: FlaggedPair, user: User) -> None:
    looks = events_of(run).filter(kind=SEEN, actor=user, payload_text=canonical({"pair": pair.number}))
    if not looks.exists():
        raise StateError("you have not looked at it", where=f"pair {pair.number} of {run}", remedy="open its picture")
