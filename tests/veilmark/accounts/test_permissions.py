"""The table of permissions: every cell of it, and nobody else."""

import pytest
from django.contrib.auth.models import AnonymousUser

from veilmark.accounts.models import Role, User
from veilmark.accounts.permissions import ACTIONS, SYSTEM, allowed, require
from veilmark.core.errors import NotAllowedError


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_a_role_may_do_exactly_what_its_row_says(action):
    for role in Role.values:
        user = User(username="someone", role=role)
        assert allowed(user, action) is (role in ACTIONS[action])
        assert not allowed(User(username="gone", role=role, is_active=False), action)
    assert not allowed(AnonymousUser(), action)
    assert not allowed(User(username="nobody", role="", is_superuser=True), action)
    assert allowed(None, action) is (SYSTEM in ACTIONS[action])


def test_rows_name_only_roles():
    assert set().union(*ACTIONS.values()) <= {*Role.values, SYSTEM}


def test_duties_are_separate():
    """Who makes a release never endorses one, and nobody but the system publishes."""
    assert not ACTIONS["release:create"] & ACTIONS["release:endorse"]
    assert not ACTIONS["reading:record"] & ACTIONS["release:endorse"]
    assert not (ACTIONS["synthetic_set:create"] | ACTIONS["generator:train"]) & ACTIONS["copies:review"]
    assert not ACTIONS["request:create"] & ACTIONS["request:decide"]
    assert ACTIONS["release:publish"] == {SYSTEM}


def test_a_refusal_says_who_can():
    with pytest.raises(NotAllowedError, match=r"release:endorse: ada is not allowed.*compliance_officer"):
        require(User(username="ada", role=Role.CUSTODIAN), "release:endorse")


def test_an_action_without_a_row_is_a_defect_not_a_permission():
    with pytest.raises(KeyError):
        require(User(username="ada", role=Role.OPERATOR), "release:made_up")
