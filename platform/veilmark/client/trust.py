"""`veilmark trust update`: keep the publisher's trust root current, and hear of keys and releases that were revoked."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from veilmark.provenance.reading import read_file
from veilmark.provenance.roots.client import read_roots, update_roots
from veilmark.provenance.trust import TrustRoot

app = typer.Typer(help="Whom to believe: the publisher's trust root, kept current.")


@app.callback()
def trust() -> None:
    """Whom to believe: the publisher's trust root, kept current."""


@app.command()
def update(
    folder: Annotated[Path, typer.Argument(help="Where to keep it; give this folder to veilmark verify --trust-root.")],
    source: Annotated[str, typer.Option("--from", help="The publisher's roots: an address, or a folder.")],
    root: Annotated[
        Path | None, typer.Option("--root", help="The first time: the publisher's root.json, got by a way you trust.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fetch and verify what the publisher says today. Exit code 2 where it is stale, rolled back or not signed."""
    roots = update_roots(folder, source, pinned=read_file(root) if root else None)
    identities = roots.trust_root.identities
    n_revoked = sum(bool(identity.revoked_at) for identity in identities)
    answer = {"identities": len(identities), "revoked_identities": n_revoked, "revoked_releases": len(roots.revoked)}
    text = f"{folder}: {len(identities)} identities, {n_revoked} revoked; {len(roots.revoked)} releases taken back"
    typer.echo(json.dumps(answer) if as_json else text)


def read_trust(path: Path | None) -> tuple[TrustRoot | None, Collection[str]]:
    """The trust root, and the releases known to be taken back: of a trust-root.json, or of an updated folder.

    Raises RootsError, FileError and FormatError.
    """
    if path is None:
        return None, ()
    if path.is_dir():
        roots = read_roots(path)
        return roots.trust_root, roots.revoked
    return TrustRoot.read(path), ()
