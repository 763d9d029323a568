"""Moving a release from state to state: along the table only, one ledger event a move."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from veilmark.accounts.models import User
from veilmark.core.errors import ApplicationError, NotAllowedError
from veilmark.core.state_machine import Transition, require_transition
from veilmark.ledger.services import event_append
from veilmark.releases.models import Release
from veilmark.releases.signals import release_moved
from veilmark.releases.states import SYSTEM, TRANSITIONS, ReleaseState


def release_lock(release: Release) -> None:
    """Lock the row until the transaction ends and read it anew: what a page showed may have changed since."""
    release.refresh_from_db(from_queryset=Release.objects.select_for_update())


def require_move(release: Release, target: ReleaseState, *, acting_user: User | None) -> Transition:
    """The table's row from the present state to `target`. `acting_user` None is the system.

    Raises StateError where the table has no such move, NotAllowedError where it is another role's.
    """
    where = f"release {release.name}"
    move = require_transition(TRANSITIONS, release.state, target, where=where)
    roles = SYSTEM if acting_user is None else (acting_user.role,)
    if not set(roles) & set(move.actor_roles):
        raise NotAllowedError(f"only {', '.join(move.actor_roles)} may do this", where=where, remedy="ask one of them")
    return move


@transaction.atomic
def release_move(
    release: Release,
    target: ReleaseState,
    *,
    acting_user: User | None,
    reason: str = "",
    payload: Mapping[str, object] | None = None,
) -> None:
    """Move `release` to `target` and append the event. `acting_user` None is the system.

    The row is locked and read anew, so two people cannot move it from one state to two others. Raises as
    `require_move` does.
    """
    release_lock(release)
    move = require_move(release, target, acting_user=acting_user)
    release.state, release.state_reason = target, reason
    release.save(update_fields=["state", "state_reason", "updated_at"])
    details = dict(payload or {}) | {"from": move.source, "to": target} | ({"reason": reason} if reason else {})
    event_append(kind=move.event, actor=acting_user, subject=release, payload=details)
    release_moved.send(sender=Release, release=release, acting_user=acting_user)


def require_reason(reason: str, release: Release) -> str:
    """A stated reason. Raises ApplicationError where it is empty."""
    if not reason.strip():
        raise ApplicationError("no reason is given", where=f"release {release.name}", remedy="say why, in a sentence")
    return reason.strip()
