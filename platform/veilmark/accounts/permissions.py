"""Which role may do which action: a table as data. What it does not name is refused."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework.request import Request

from veilmark.accounts.models import Role, User
from veilmark.core.errors import NotAllowedError

SYSTEM = "system"  # no person: the platform itself, once its guards hold

ACTIONS: dict[str, frozenset[str]] = {
    "person:create": frozenset({Role.OPERATOR, SYSTEM}),
    "cohort:create": frozenset({Role.CUSTODIAN}),
    "cohort:view": frozenset({Role.CUSTODIAN, Role.COMPLIANCE_OFFICER, Role.OPERATOR}),
    "generator:train": frozenset({Role.CUSTODIAN}),
    "synthetic_set:create": frozenset({Role.CUSTODIAN}),
    "synthetic_set:view": frozenset({Role.CUSTODIAN, Role.COMPLIANCE_OFFICER, Role.CLINICIAN}),
    "audit:run": frozenset({Role.CUSTODIAN, Role.COMPLIANCE_OFFICER}),
    "audit:view": frozenset({Role.CUSTODIAN, Role.COMPLIANCE_OFFICER}),
    "copies:review": frozenset({Role.COMPLIANCE_OFFICER}),
    "reading:create": frozenset({Role.CUSTODIAN}),
    "reading:record": frozenset({Role.CLINICIAN}),
    "release:create": frozenset({Role.CUSTODIAN}),
    "release:endorse": frozenset({Role.COMPLIANCE_OFFICER}),
    "release:publish": frozenset({SYSTEM}),
    "release:suspend": frozenset({Role.COMPLIANCE_OFFICER}),
    "release:withdraw": frozenset({Role.CUSTODIAN}),
    "release:view": frozenset(Role.values),
    "agreement:accept": frozenset({Role.RESEARCHER}),
    "request:create": frozenset({Role.RESEARCHER}),
    "request:decide": frozenset({Role.COMPLIANCE_OFFICER}),
    "download": frozenset({Role.RESEARCHER}),
    "leak:examine": frozenset({Role.COMPLIANCE_OFFICER}),
    "ledger:view": frozenset({Role.COMPLIANCE_OFFICER, Role.OPERATOR}),
    "jobs:view": frozenset({Role.OPERATOR, Role.CUSTODIAN}),
    "jobs:cancel": frozenset({Role.OPERATOR}),
}


def allowed(user: User | AnonymousUser | None, action: str) -> bool:
    """May `user` (None: the system itself) do `action`? An action without a row is a defect, and raises KeyError."""
    roles = ACTIONS[action]
    if user is None:
        return SYSTEM in roles
    return isinstance(user, User) and user.is_active and user.role in roles


def require(user: User | AnonymousUser | None, action: str) -> None:
    """Raises NotAllowedError unless `user` may do `action`."""
    if not allowed(user, action):
        who = "the system" if user is None else user.get_username() or "a person not signed in"
        remedy = f"this needs the role {' or '.join(sorted(ACTIONS[action]))}"
        raise NotAllowedError(f"{who} is not allowed to do this", where=action, remedy=remedy)


def signed_in(request: HttpRequest | Request) -> User:
    """The person behind a request. Raises NotAllowedError where nobody signed in."""
    if not isinstance(request.user, User):
        raise NotAllowedError("nobody is signed in", remedy="sign in first")
    return request.user
