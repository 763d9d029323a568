"""`veilmark log check`: whether a publisher's transparency log is whole, and only ever grew.

With `--from` the copy is brought up to date first; the check itself needs no network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from veilmark.client.log_copy import copy_log
from veilmark.client.trust import read_trust
from veilmark.provenance.identity import Identity
from veilmark.provenance.log.checkpoint import Checkpoint, verify_checkpoint
from veilmark.provenance.log.monitor import check_log
from veilmark.provenance.log.reader import HEAD_NAME, LogFolder
from veilmark.provenance.reading import read_file
from veilmark.provenance.verdict import Problem, Verdict

app = typer.Typer(help="The publisher's transparency log.")


@app.callback()
def log() -> None:
    """The publisher's transparency log."""


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A copy of the publisher's log: checkpoint, checkpoints/, tile/.")],
    trust_root: Annotated[
        Path,
        typer.Option("--trust-root", help="The publisher's trust-root.json, or a folder of veilmark trust update."),
    ],
    source: Annotated[
        str, typer.Option("--from", help="The log's address: fetch into FOLDER what is new there, then check.")
    ] = "",
    seen: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="A checkpoint that you have seen before; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Hash every entry, fold every tile, compare every checkpoint. Exit codes: 0 whole, 10 altered, 2 bad input."""
    root, _ = read_trust(trust_root)
    identities = root.identities if root else ()
    if source:
        copy_log(source, folder, identities)
    copy = LogFolder(folder)
    # Of a log that no trusted key speaks for nothing can be said: a refusal, not a verdict.
    verify_checkpoint(copy.read(HEAD_NAME), identities, where=str(folder / HEAD_NAME))
    problems = list(check_log(copy, identities, seen=_seen(seen or (), identities)))
    if as_json:
        typer.echo(json.dumps({"whole": not problems, "problems": [vars(problem) for problem in problems]}))
    else:
        typer.echo("\n".join(_lines(folder, problems)))
    raise typer.Exit(Verdict.ALTERED.exit_code if problems else 0)


def _lines(folder: Path, problems: Sequence[Problem]) -> list[str]:
    if not problems:
        return [f"{folder}: whole, and it only ever grew"]
    return [f"{folder}: altered", *(f"  {problem}" for problem in problems)]


def _seen(paths: Sequence[Path], identities: Sequence[Identity]) -> list[Checkpoint]:
    return [verify_checkpoint(read_file(path), identities, where=str(path)) for path in paths]
