"""What the commands share: options with their help, strict JSON on standard output, a bar on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as ProgressBar

from generators.base import ConfigError, Progress, no_progress
from generators.folder import strict_json

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Seed = Annotated[int, typer.Option(help="Repeats initial weights and the drawing of images; never noise.")]
Delta = Annotated[float, typer.Option(help="Delta, at most 1 / (10 x public n).")]
Accountant = Annotated[str, typer.Option(help="rdp or prv.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Merge = Annotated[list[str] | None, typer.Option("--merge", help="a+b=c: take labels a and b as c, repeatable.")]


def print_result(found: Mapping[str, object], lines: list[str], *, as_json: bool) -> None:
    """One JSON object (infinities become null), or lines for people."""
    text = json.dumps(strict_json(found), allow_nan=False) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")


def key_and_value(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ConfigError(f"{text!r} is no key=value", where="--set", remedy="as in --set n_components=32")
    return key, value


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Progress]:
    """A bar on standard error where that is a terminal."""
    if not shown:
        yield no_progress
        return
    console = Console(stderr=True)
    with ProgressBar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def progress(done: int, total: int, message: str = "") -> None:
            bar.update(task, completed=done, total=total, description=message)

        yield progress
