"""What the commands share: refusals on one line, a progress bar on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from audits.base import AuditError
from audits.base import Progress as ProgressCallback
from generators.base import GeneratorError

P = ParamSpec("P")


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Bad input ends a command with one line on standard error and exit code 2."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (AuditError, GeneratorError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None

    return guarded


@contextmanager
def progress_bar(first: str) -> Iterator[ProgressCallback]:
    """A callback that moves a bar, which begins with the words `first`."""
    columns = (TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(first, total=None)
        yield lambda done, total, message: bar.update(task, completed=done, total=total, description=message)
