"""The commands that speak with a server: login, logout, search, accept, request, status, download."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from veilmark.client.api import VeilmarkClient
from veilmark.client.errors import ClientError
from veilmark.client.records import Grant
from veilmark.client.settings import SignIn, delete_sign_in, load_sign_in, save_sign_in
from veilmark.client.trust import read_trust
from veilmark.provenance.verify import verify_path

app = typer.Typer()
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def login(
    server: Annotated[str, typer.Argument(help="The site's address: https://NAME.")],
    username: Annotated[str, typer.Option("--username", "-u", help="Your name there; asked for where not given.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sign in and keep the token, which ends by itself after some hours, in a file that only you can read."""
    with VeilmarkClient(server) as client:
        username = username or typer.prompt("username", err=True)
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else typer.prompt("password", hide_input=True)
        token = client.sign_in(username, password)
        save_sign_in(SignIn(server=client.server, username=username, token=token))
        _say({"server": client.server, "username": username}, f"signed in as {username} at {client.server}", as_json)


@app.command()
def logout(as_json: AsJson = False) -> None:
    """End the token at the server and delete it here."""
    sign_in = load_sign_in()
    delete_sign_in()  # first: where the server cannot be reached, at least this machine forgets it
    with VeilmarkClient(sign_in.server, token=sign_in.token) as client:
        client.sign_out()
    _say({"server": sign_in.server}, f"signed out from {sign_in.server}", as_json)


@app.command()
def search(words: Annotated[list[str] | None, typer.Argument()] = None, as_json: AsJson = False) -> None:
    """List the released sets; with words, those whose name, title or description hold all of them."""
    with _signed_in() as client:
        found = client.search(" ".join(words or []))
    rows = [
        (
            release.name,
            release.title,
            f"{release.n_images:,}",
            f"{release.privacy['epsilon']:.2f} at {release.privacy['delta']:g} per {release.privacy['privacy_unit']}",
            ", ".join(release.purposes),
        )
        for release in found
    ]
    _show("releases", found, ("release", "title", "images", "epsilon at delta", "purposes"), rows, as_json)


@app.command()
def accept(
    yes: Annotated[bool, typer.Option("--yes", help="Accept without being asked.")] = False, as_json: AsJson = False
) -> None:
    """Show the agreement and accept it. Every request needs it."""
    with _signed_in() as client:
        agreement = client.agreement()
        typer.echo(agreement.text, err=as_json)
        if not (agreement.accepted or yes or typer.confirm("Do you accept this?", err=True)):
            raise ClientError("was not accepted", where="agreement", remedy="no request is possible without it")
        accepted = client.accept(agreement)
    _say(asdict(accepted), f"accepted version {accepted.version} ({accepted.digest})", as_json)


@app.command()
def request(
    release: Annotated[str, typer.Argument(help="The release's name, as veilmark search shows it.")],
    purpose: Annotated[str, typer.Option(help="One of the purposes that the release permits.")],
    project: Annotated[str, typer.Option(help="What the images are for, in a sentence.")],
    as_json: AsJson = False,
) -> None:
    """Ask for a release. A compliance officer decides; veilmark status shows how."""
    with _signed_in() as client:
        asked = client.request(release, purpose=purpose, project=project)
    _say(asdict(asked), f"request {asked.id} for {release} is {asked.state}", as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Your requests, what was decided, and until when you may download."""
    with _signed_in() as client:
        asked, grants = client.requests(), client.grants()
    if as_json:
        return _print_json({"requests": [asdict(row) for row in asked], "grants": [asdict(row) for row in grants]})
    ends = {grant.id: _end_of(grant) for grant in grants}
    rows = [(row.release, row.purpose, row.state, row.reason, ends.get(row.grant or "", "")) for row in asked]
    return _table(("release", "purpose", "state", "reason", "download until"), rows)


@app.command()
def download(
    release: Annotated[str, typer.Argument(help="The release's name.")],
    out: Annotated[Path, typer.Option("--out", help="The folder for the zip.")],
    trust_root: Annotated[
        Path | None, typer.Option("--trust-root", help="Verify the zip at once: the publisher's trust-root.json.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a release's bundle as a zip, continuing what was cut, and check its digest.

    With a trust root the exit code is that of veilmark verify."""
    root, taken_back = read_trust(trust_root)  # before the bytes: a wrong path shows at once
    with _signed_in() as client, _progress_bar(release) as progress:
        done = client.download(release, out, progress=progress)
    answer, text = {**asdict(done), "path": str(done.path)}, f"{done.path}: {done.digest}"
    if root is None:
        return _say(answer, f"{text}\nverify it: veilmark verify {done.path} --trust-root FILE", as_json)
    verified = verify_path(done.path, trust_root=root, revoked=taken_back)
    _say({**answer, "verification": verified.to_json()}, f"{text}\n{verified.verdict.word}", as_json)
    raise typer.Exit(verified.exit_code)


def _end_of(grant: Grant) -> str:
    """Until when a download is possible, or why none is."""
    if grant.recalled:
        return f"recalled: {grant.recalled}"
    return grant.expires_at[:10] if grant.is_open else "ended"


@contextmanager
def _signed_in() -> Iterator[VeilmarkClient]:
    sign_in = load_sign_in()
    with VeilmarkClient(sign_in.server, token=sign_in.token) as client:
        yield client


@contextmanager
def _progress_bar(what: str) -> Iterator[Any]:
    """A bar on standard error: standard output is for the answer."""
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _say(answer: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        _print_json(answer)
    else:
        typer.echo(text)


def _show(
    name: str, records: Sequence[Any], columns: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool
) -> None:
    if as_json:
        _print_json({name: [asdict(record) for record in records]})
    else:
        _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console(markup=False).print(table)


def _print_json(answer: dict[str, Any]) -> None:
    typer.echo(json.dumps(answer))
