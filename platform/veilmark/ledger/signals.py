"""Sign-in, sign-out and failed sign-in become events, whichever page or API they came through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.dispatch import receiver

from veilmark.accounts.models import User
from veilmark.accounts.signals import person_created, reauthenticated, token_created
from veilmark.ledger.services import event_append


def _append(kind: str, user: User | None, payload: Mapping[str, str] | None = None) -> None:
    with transaction.atomic():
        event_append(kind=kind, actor=user, subject=user, payload=payload)


@receiver(user_logged_in)
def signed_in(user: User, **_: Any) -> None:
    _append("person:signed_in", user)


@receiver(user_logged_out)
def signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        _append("person:signed_out", user)


@receiver(user_login_failed)
def sign_in_failed(credentials: Mapping[str, str], **_: Any) -> None:
    """The name that was tried is recorded only where it is a person's: people type passwords into the wrong field."""
    user = User.objects.filter(username=credentials.get("username", "")).first()
    with transaction.atomic():
        event_append(kind="person:sign_in_failed", actor=None, subject=user)


@receiver(person_created)
def created(person: User, acting_user: User | None, **_: Any) -> None:
    payload = {"username": person.username, "role": person.role}
    event_append(kind="person:created", actor=acting_user, subject=person, payload=payload)


@receiver(reauthenticated)
def proved_again(person: User, **_: Any) -> None:
    event_append(kind="person:reauthenticated", actor=person, subject=person)


@receiver(token_created)
def token_made(person: User, **_: Any) -> None:
    event_append(kind="person:token_created", actor=person, subject=person)
