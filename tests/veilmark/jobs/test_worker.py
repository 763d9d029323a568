"""The real worker in processes of its own: jobs end once, also when their worker is killed while it runs them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from veilmark.jobs.slots import ADVISORY_CLASS

pytestmark = pytest.mark.slow
DATABASE_URL = os.environ.get("VEILMARK_DATABASE_URL", "")
ROOT = Path(__file__).resolve().parents[3]
SETTINGS = """
from veilmark.settings.embedded import *
stages = {f"veilmark.{name}" for name in [*STAGES, "dashboards"]}
INSTALLED_APPS = [*(app for app in INSTALLED_APPS if app not in stages), "probe"]
ROOT_URLCONF = "probe"
"""
TASKS = """
import os, time
from pathlib import Path
from veilmark.core.errors import ApplicationError
from veilmark.jobs.registry import task

@task("probe:count")
def count(job, *, log, n, seconds):
    '''Resumes where it was: each number is written once it is done.'''
    path = Path(log)
    done = len(path.read_text().splitlines()) if path.exists() else 0
    for number in range(done, n):
        job.progress(number, n, f"number {number}")
        time.sleep(seconds)
        with path.open("a") as stream:
            stream.write(f"{number} {os.getpid()}\\n")
    job.progress(n, n)

@task("probe:refuse")
def refuse(job):
    raise ApplicationError("does not fit", where="row 3", remedy="correct it")
"""
ENQUEUE = """
import json, sys, django
django.setup()
from django.db import transaction
from veilmark.jobs.services import job_enqueue
with transaction.atomic():
    print(job_enqueue(task=sys.argv[1], arguments=json.loads(sys.argv[2]), acting_user=None).id)
"""
SHOW = """
import json, django
django.setup()
from veilmark.jobs.models import Job
from veilmark.ledger.models import Event
from veilmark.ledger.verify import ledger_verify
print(json.dumps({
    "jobs": list(Job.objects.order_by("created_at").values("state", "error", "n_done", "n_total", "message")),
    "kinds": list(Event.objects.values_list("kind", flat=True)),
    "ledger_ok": ledger_verify().ok,
}))
"""


@dataclass
class Site:
    """An installation of its own in a folder, with one more app whose tasks are easy to watch."""

    folder: Path
    database_url: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "VEILMARK_DATABASE_URL": self.database_url,
            "VEILMARK_VAR": str(self.folder / "var"),
            "VEILMARK_PASSPHRASE": "of the tests alone",
            "DJANGO_SETTINGS_MODULE": "probe_settings",
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT), str(ROOT / "platform")]),
        }

    def python(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True, timeout=120
        ).stdout

    def enqueue(self, task: str, **arguments: object) -> None:
        self.python("-c", ENQUEUE, task, json.dumps(arguments))

    def show(self) -> dict[str, object]:
        return json.loads(self.python("-c", SHOW))

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, str(ROOT / "manage.py"), "worker", *options], env=self.environment)
        self.workers.append(process)
        return process


def database_copy(template: str = "template1") -> str:
    """The address of a new database on the server that the tests are given; none where they run on SQLite."""
    if not DATABASE_URL:
        return ""
    name = f"site_{uuid4().hex}"
    with psycopg.connect(DATABASE_URL, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return DATABASE_URL.rpartition("/")[0] + f"/{name}"


@pytest.fixture(scope="module")
def fresh_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    (folder / "probe").mkdir()
    (folder / "probe" / "__init__.py").write_text("urlpatterns = []")
    (folder / "probe" / "tasks.py").write_text(TASKS)
    (folder / "probe_settings.py").write_text(SETTINGS)
    site = Site(folder, database_copy())
    site.python(str(ROOT / "manage.py"), "migrate", "-v0")
    return site


@pytest.fixture
def site(fresh_site: Site, tmp_path: Path) -> Iterator[Site]:
    """A copy of an installation that was migrated once."""
    template = fresh_site.database_url.rpartition("/")[2]
    site = Site(Path(shutil.copytree(fresh_site.folder, tmp_path / "site")), database_copy(template))
    yield site
    for process in site.workers:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.database
def test_a_worker_runs_what_was_enqueued_and_ends_when_idle(site, tmp_path):
    site.enqueue("probe:count", log=str(tmp_path / "log"), n=3, seconds=0)
    site.enqueue("probe:refuse")
    assert site.worker("--until-idle").wait(timeout=120) == 0
    shown = site.show()
    assert [job["state"] for job in shown["jobs"]] == ["done", "failed"]
    assert (shown["jobs"][0]["n_done"], shown["jobs"][0]["n_total"]) == (3, 3)
    assert shown["jobs"][1]["error"] == "row 3: does not fit; correct it"
    assert sorted(shown["kinds"]) == ["job:done", "job:enqueued", "job:enqueued", "job:failed"]
    assert shown["ledger_ok"]


def test_a_killed_workers_job_is_taken_over_and_ends_once(site, tmp_path):
    log = tmp_path / "log"
    site.enqueue("probe:count", log=str(log), n=8, seconds=0.25)
    first = site.worker()
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) >= 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert site.worker("--until-idle").wait(timeout=120) == 0
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [int(number) for number, _ in lines] == list(range(8))
    assert len({pid for _, pid in lines}) == 2
    shown = site.show()
    assert [job["state"] for job in shown["jobs"]] == ["done"]
    assert shown["kinds"].count("job:done") == 1
    assert shown["ledger_ok"]


@pytest.mark.database
def test_of_two_workers_one_runs_the_job_and_the_other_inherits_it(site, tmp_path):
    log = tmp_path / "log"
    site.enqueue("probe:count", log=str(log), n=20, seconds=0.25)
    workers = [site.worker(), site.worker()]
    wait_for(lambda: log.exists() and len(log.read_text().splitlines()) >= 8)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [int(number) for number, _ in lines] == list(range(len(lines)))
    assert len({pid for _, pid in lines}) == 1
    busy = next(worker for worker in workers if worker.pid == int(lines[0][1]))
    busy.kill()
    wait_for(lambda: len(log.read_text().splitlines()) == 20)
    numbers = [int(line.split()[0]) for line in log.read_text().splitlines()]
    assert numbers == list(range(20))
    wait_for(lambda: site.show()["jobs"][0]["state"] == "done")


def test_a_worker_told_to_stop_leaves_its_job_to_the_next(site, tmp_path):
    log = tmp_path / "log"
    site.enqueue("probe:count", log=str(log), n=60, seconds=0.25)
    worker = site.worker()
    wait_for(log.exists)
    worker.terminate()
    assert worker.wait(timeout=60) == 0
    assert site.show()["jobs"][0]["state"] == "running"
    before = len(log.read_text().splitlines())
    site.worker()
    wait_for(lambda: len(log.read_text().splitlines()) > before)
    numbers = [int(line.split()[0]) for line in log.read_text().splitlines()]
    assert numbers == list(range(len(numbers)))


def test_a_lost_engine_database_loses_no_job(site, tmp_path):
    log = tmp_path / "log"
    site.enqueue("probe:count", log=str(log), n=8, seconds=0.25)
    worker = site.worker()
    wait_for(log.exists)
    worker.kill()
    worker.wait()
    for path in (site.folder / "var").glob("jobs.sqlite3*"):
        path.unlink()
    assert site.worker("--until-idle").wait(timeout=120) == 0
    assert site.show()["jobs"][0]["state"] == "done"


@pytest.mark.database
@pytest.mark.skipif(not DATABASE_URL, reason="a file's lock cannot be lost")
def test_a_worker_that_lost_its_name_ends_at_once_and_another_goes_on(site, tmp_path):
    log = tmp_path / "log"
    site.enqueue("probe:count", log=str(log), n=12, seconds=0.5)
    worker = site.worker()
    wait_for(log.exists)
    with psycopg.connect(site.database_url, autocommit=True) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())",
            [ADVISORY_CLASS],
        )
    assert worker.wait(timeout=60) == 2
    assert len(log.read_text().splitlines()) < 12
    assert site.worker("--until-idle").wait(timeout=120) == 0
    assert [int(line.split()[0]) for line in log.read_text().splitlines()] == list(range(12))
