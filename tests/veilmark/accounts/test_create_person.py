import io

import pytest
from django.core.management import call_command

from veilmark.accounts.models import User
from veilmark.core.errors import ApplicationError

pytestmark = pytest.mark.django_db


def test_the_command_reads_the_password_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough passphrase\n"))
    call_command("create_person", "ada", "operator", "--name", "Ada", "--password-stdin")
    assert User.objects.get(username="ada").check_password("a long enough passphrase")


def test_a_weak_password_makes_nobody(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(ApplicationError, match="too short"):
        call_command("create_person", "ada", "operator", "--password-stdin")
    assert not User.objects.exists()
