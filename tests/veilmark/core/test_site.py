"""What the whole site gives before anybody has signed in."""

import re
from contextlib import closing
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command

from veilmark.core import files
from veilmark.core.navigation import Item, navigation

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_health_answers_without_sign_in(client):
    assert client.get("/healthz").json() == {"status": "ok"}


def test_the_schema_is_valid_and_has_no_warning(capsys):
    call_command("spectacular", "--validate", "--fail-on-warn")
    assert "/api/tokens/" in capsys.readouterr().out


def test_migrations_are_complete():
    call_command("makemigrations", "--check", "--dry-run")


def test_the_installation_checks_itself():
    call_command("check", "--fail-level", "WARNING")


def test_every_static_file_of_the_base_page_is_there(client):
    page = client.get("/accounts/sign-in/").content.decode()
    names = re.findall(r'(?:href|src)="/static/([^"]+)"', page)
    assert len(names) >= 2
    for name in names:
        assert finders.find(name), name
        with closing(client.get(f"/static/{name}")) as answer:
            assert (answer.status_code, len(answer.getvalue()) > 200) == (200, True)
    assert Path(str(finders.find("core/vendor/htmx-LICENSE.txt"))).stat().st_size > 100


def test_the_style_sheet_calls_nobody():
    css = Path(str(finders.find("core/veilmark.css"))).read_text()
    assert "url(" not in css
    assert "@import" not in css


def test_a_role_sees_its_own_links(rf, people, monkeypatch):
    items = [
        Item(label="Health", url_name="healthz", roles=frozenset({"operator"})),
        Item(label="Sign in", url_name="accounts:sign_in", roles=frozenset({"researcher"})),
    ]
    monkeypatch.setattr("veilmark.core.navigation._ITEMS", items)
    request = rf.get("/healthz")
    request.user = people.operator
    assert navigation(request) == {"navigation": [("Health", "/healthz", True)]}
    request.user = people.custodian
    assert navigation(request) == {"navigation": []}


def break_while_writing(path: Path) -> None:
    with files.draft_of(path) as stream:
        stream.write(b"half")
        raise OSError("no space left")


def test_a_write_that_breaks_leaves_no_trace(tmp_path):
    path = tmp_path / "folder" / "file"
    files.write_atomically(path, b"old")
    with pytest.raises(OSError, match="no space"):
        break_while_writing(path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
