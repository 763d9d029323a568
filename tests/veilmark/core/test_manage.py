"""The command line answers what a person can mend with one line, and shows a defect as the defect it is."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        pytest.param({"VEILMARK_DEBUG": "perhaps"}, "error: VEILMARK_DEBUG: is 'perhaps'; set yes or no", id="flag"),
        pytest.param(
            {"VEILMARK_DATABASE_URL": "mysql://u@h/n"},
            "error: VEILMARK_DATABASE_URL: is no postgresql://user:password@host:port/name; correct it",
            id="database",
        ),
        pytest.param(
            {"VEILMARK_VAR": "/proc/veilmark"},
            "error: /proc/veilmark/keys: cannot be made (No such file or directory); give a folder that can be written",
            id="folder that cannot be written",
        ),
        pytest.param(
            {"VEILMARK_DATABASE_URL": ""},
            "error: database: no such table: ledger_event; is it running, and up to date? (manage.py migrate)",
            id="database without tables",
        ),
    ],
)
def test_a_wrong_installation_is_told_in_one_line(variables, line, tmp_path):
    result = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "ledger_verify", "--skip-checks"],
        env={**os.environ, "VEILMARK_VAR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (result.returncode, result.stderr.splitlines()) == (2, [line])


@pytest.fixture
def manage(monkeypatch):
    spec = importlib.util.spec_from_file_location("manage", ROOT / "manage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Django is set up already; doing it again would reconfigure logging and close the handlers of this very test run.
    monkeypatch.setattr("django.setup", lambda: None)

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["manage.py", *arguments])
        module.main()

    return run


@pytest.mark.django_db
def test_a_refusal_is_one_line(manage, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    with pytest.raises(SystemExit) as ended:
        manage("create_person", "ada", "operator", "--password-stdin")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: person ada: ")


def test_a_defect_keeps_its_traceback(manage, monkeypatch):
    monkeypatch.setattr("veilmark.ledger.management.commands.ledger_verify.ledger_verify", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        manage("ledger_verify")
