"""Changes to people: creation, fresh proof of identity, API tokens."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from knox.models import get_token_model

from veilmark.accounts.models import Role, User
from veilmark.accounts.permissions import require
from veilmark.accounts.signals import person_created, reauthenticated, token_created
from veilmark.core.errors import ApplicationError, NotAllowedError


@transaction.atomic
def person_create(
    *, username: str, password: str, role: str, display_name: str = "", acting_user: User | None = None
) -> User:
    """A new person. `acting_user` None: the command line, whose user owns the machine anyway.

    Raises ApplicationError for an unknown role, a taken name, a weak password; NotAllowedError.
    """
    require(acting_user, "person:create")
    if role not in Role.values:
        raise ApplicationError(f"is {role!r}", where="role", remedy=f"choose one of {', '.join(Role.values)}")
    if User.objects.filter(username__iexact=username).exists():
        raise ApplicationError("is taken", where=f"username {username}", remedy="choose another")
    user = User(username=username, role=role, display_name=display_name or username)
    try:
        validate_password(password, user)
        user.set_password(password)
        user.full_clean()
    except ValidationError as error:
        raise ApplicationError(" ".join(error.messages), where=f"person {username}", remedy="correct it") from error
    user.save()
    person_created.send(User, person=user, acting_user=acting_user)
    return user


@transaction.atomic
def _reauthenticated(user: User) -> None:
    user.reauthenticated_at = timezone.now()
    user.save(update_fields=["reauthenticated_at"])
    reauthenticated.send(User, person=user)


def reauthenticate(*, user: User, password: str) -> None:
    """Prove again that the person at the keyboard is `user`, and note when (21 CFR 11.200(a)).

    Wrong passwords count towards the same lock-out as at sign-in. Raises NotAllowedError.
    """
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = "127.0.0.1"  # the lock-out counts by person; no address is known here
    try:
        proven = authenticate(request, username=user.get_username(), password=password)
    except PermissionDenied:
        proven = None
    if proven is None or proven.pk != user.pk:
        remedy = "enter your own password; after five wrong ones wait 15 minutes"
        raise NotAllowedError("the password was not accepted", where=user.get_username(), remedy=remedy)
    _reauthenticated(user)


def require_reauthenticated(user: User) -> None:
    """Raises NotAllowedError unless `user` proved who they are within the last minutes (the setting says how many)."""
    limit = settings.VEILMARK_REAUTHENTICATION_MAX_AGE
    if user.reauthenticated_at is None or timezone.now() - user.reauthenticated_at > limit:
        raise NotAllowedError(
            "no fresh proof of identity", where=user.get_username(), remedy="enter your password again"
        )


@transaction.atomic
def api_token_create(*, user: User) -> str:
    """A token for the API, shown once: only its digest is stored. It ends by itself (REST_KNOX)."""
    _, token = get_token_model().objects.create(user=user)
    token_created.send(User, person=user)
    return str(token)
