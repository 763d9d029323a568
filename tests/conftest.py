"""What every test may use: people, a place for files that is never the real `var/`, and programs of the system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings

FAST_HASHER = "django.contrib.auth.hashers.MD5PasswordHasher"
# The machines that run the tests are shared: an example that takes long there says nothing about the code.
hypothesis.settings.register_profile("veilmark", deadline=None)
hypothesis.settings.load_profile("veilmark")
PASSWORD = "a long enough passphrase"


@pytest.fixture(scope="session", autouse=True)
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's own `var/`: pytest-django has loaded the settings before any fixture, so they are pointed here."""
    folder = tmp_path_factory.mktemp("var")
    settings.VEILMARK_VAR = folder
    settings.VEILMARK_PASSPHRASE = "of the tests alone"
    settings.PASSWORD_HASHERS = [FAST_HASHER]
    return folder


@pytest.fixture(scope="session")
def django_db_modify_db_settings(var: Path, django_db_modify_db_settings_parallel_suffix: None) -> None:
    """SQLite's test database is a file, as in the embedded default: threads and processes can share it."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database.setdefault("TEST", {})["NAME"] = str(var / "test.sqlite3")


@pytest.fixture(scope="session", autouse=True)
def flushable_ledger() -> None:
    """Between tests with real transactions the test database is emptied, which the ledger's triggers would refuse."""
    from django.db import connection

    from veilmark.ledger.append_only import ADD, REMOVE

    # Of the class, not of one connection: where an event loop runs (Playwright's), Django opens another one.
    operations: Any = type(connection.ops)
    flush = operations.execute_sql_flush

    def flush_without_triggers(self: Any, statements: Sequence[str]) -> None:
        with self.connection.cursor() as cursor:
            for statement in REMOVE[connection.vendor]:
                cursor.execute(statement)
            flush(self, statements)
            for statement in ADD[connection.vendor]:
                cursor.execute(statement)

    operations.execute_sql_flush = flush_without_triggers


@pytest.fixture(autouse=True)
def fresh_ledger(var: Path) -> None:
    """A test starts with an empty ledger, and the head outside the database must say the same."""
    (var / "ledger" / "head.json").unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class People:
    """One person per role, and a second compliance officer. All share `password`."""

    custodian: object
    officer: object
    second_officer: object
    clinician: object
    researcher: object
    operator: object
    password: str = PASSWORD


@pytest.fixture
def people(db: None) -> People:
    from veilmark.accounts.models import Role
    from veilmark.accounts.services import person_create

    roles = {
        "custodian": Role.CUSTODIAN,
        "officer": Role.COMPLIANCE_OFFICER,
        "second_officer": Role.COMPLIANCE_OFFICER,
        "clinician": Role.CLINICIAN,
        "researcher": Role.RESEARCHER,
        "operator": Role.OPERATOR,
    }
    made = {name: person_create(username=name, password=PASSWORD, role=role) for name, role in roles.items()}
    return People(**made)


@pytest.fixture
def run_jobs(db: None) -> Callable[[], int]:
    """Run what is enqueued here and now, through the code that a worker runs, until nothing is left; how many ran."""
    from veilmark.jobs.execution import job_execute
    from veilmark.jobs.models import Job

    def run() -> int:
        n_run = 0
        while job := Job.objects.filter(state=Job.State.ENQUEUED).order_by("created_at").first():
            job_execute(job.id)
            n_run += 1
        return n_run

    return run


@pytest.fixture(scope="session")
def require_program() -> Callable[[str, str], Path]:
    """`require_program("chromium", "chromium")`: its path; skips where it is missing, and fails there under CI."""

    def require(program: str, debian_package: str) -> Path:
        found = shutil.which(program)
        if found:
            return Path(found)
        line = f"{program} is missing: apt-get install {debian_package}"
        if os.environ.get("CI") == "true":
            pytest.fail(line)
        pytest.skip(line)

    return require


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images, where there is one (`VEILMARK_SHARED_DATA`, or beside the clone)."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("VEILMARK_SHARED_DATA", str(root.parent / "shared" / "data")))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}: set VEILMARK_SHARED_DATA")
    return folder
