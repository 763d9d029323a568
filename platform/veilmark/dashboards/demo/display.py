"""What the demo shows: a progress bar for every long step, and the summary tables at its end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from generators.base import Progress as ProgressCallback
from veilmark.core.errors import StateError
from veilmark.jobs.models import Job

POLL_SECONDS = 0.25
JOB_TIMEOUT = 3600.0
BADGES = {"PASS": "green", "FAIL": "red", "UNKNOWN": "yellow"}

console = Console()


@contextmanager
def bar(title: str) -> Iterator[ProgressCallback]:
    """A progress bar for the block; the callback moves it."""
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=None)

        def move(done: int, total: int, message: str = "") -> None:
            detail = f"{title}: {message}"[:44] if message else title
            progress.update(task, completed=done, total=total or None, description=detail)

        yield move
        total = progress.tasks[0].total or 1
        progress.update(task, completed=total, total=total, description=title)


def wait_for(job: Job | None, title: str) -> None:
    """Follow a job with a progress bar until it is done. Raises StateError with the job's line where it failed."""
    if job is None:
        raise StateError("has no job", where=title, remedy="start it again")
    deadline = time.monotonic() + JOB_TIMEOUT
    with bar(title) as move:
        while not job.is_finished:
            if time.monotonic() > deadline:
                raise StateError("did not finish", where=title, remedy="see var/logs/worker.log")
            time.sleep(POLL_SECONDS)
            job.refresh_from_db()
            move(job.n_done, job.n_total, job.message)
    if job.state != Job.State.DONE:
        raise StateError(job.error or job.state, where=title, remedy="see var/logs/worker.log")


def facts_table(title: str, rows: Mapping[str, str]) -> None:
    """Names and values."""
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")  # a digest that is cut short is no digest
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)


def audit_table(measurements: list[dict[str, Any]]) -> None:
    """Each audit's value with its interval, its baseline and its status."""
    table = Table(title="Audits", title_justify="left")
    for column in ("audit", "value", "95 % interval", "baseline", "n", "status"):
        table.add_column(column, overflow="fold")
    for row in measurements:
        n = ", ".join(f"{arm} {count}" for arm, count in row["n"].items())
        interval = f"{_figure(row['ci_low'])} to {_figure(row['ci_high'])}"
        table.add_row(row["name"], _figure(row["value"]), interval, _figure(row["baseline"]), n, row["status"])
    console.print(table)


def decision_table(body: Mapping[str, Any]) -> None:
    """The policy's verdict, rule by rule."""
    table = Table(title=f"Policy {body['profile']}: {body['outcome']} ({body['reason']})", title_justify="left")
    for column in ("rule", "outcome", "severity", "got", "want"):
        table.add_column(column, overflow="fold")
    for row in body["results"]:
        colour = BADGES[row["outcome"]]
        table.add_row(row["id"], f"[{colour}]{row['outcome']}[/]", row["severity"], row["got"], row["want"])
    console.print(table)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
