"""One demo person a role (two officers), made once, signed in with their own passwords like anybody else."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest

from veilmark.accounts.models import Role, User
from veilmark.accounts.services import person_create
from veilmark.core.errors import ConfigurationError
from veilmark.core.files import write_atomically

PEOPLE = {
    "demo-custodian": (Role.CUSTODIAN, "Carla Custodian"),
    "demo-officer-a": (Role.COMPLIANCE_OFFICER, "Aino Officer"),
    "demo-officer-b": (Role.COMPLIANCE_OFFICER, "Bela Officer"),
    "demo-clinician": (Role.CLINICIAN, "Chiara Clinician"),
    "demo-researcher": (Role.RESEARCHER, "Ravi Researcher"),
    "demo-operator": (Role.OPERATOR, "Olga Operator"),
}


@dataclass(frozen=True, kw_only=True)
class DemoPerson:
    """A signed-in demo person with the password that their signatures ask for again."""

    user: User
    password: str


def demo_people() -> dict[str, DemoPerson]:
    """Every demo person by username. Passwords are drawn once and kept in `var/demo-people.json`, mode 0600."""
    passwords = _passwords()
    for username, (role, display_name) in PEOPLE.items():
        if not User.objects.filter(username=username).exists():
            person_create(username=username, password=passwords[username], role=role, display_name=display_name)
    return {username: _signed_in(username, passwords[username]) for username in PEOPLE}


def _passwords() -> dict[str, str]:
    path = settings.VEILMARK_VAR / "demo-people.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = set(PEOPLE) - set(known)
    if missing:
        known |= {username: secrets.token_urlsafe(15) for username in missing}
        write_atomically(path, json.dumps(known, indent=1).encode())
        path.chmod(0o600)
    return known


def _signed_in(username: str, password: str) -> DemoPerson:
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = "127.0.0.1"
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        raise ConfigurationError(
            "cannot sign in", where=username, remedy="remove var/demo-people.json and the demo people, or var/ itself"
        )
    return DemoPerson(user=user, password=password)
