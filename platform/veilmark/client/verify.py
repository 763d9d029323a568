"""`veilmark verify`: is this what a publisher signed? Offline; exit codes and words as the README lists them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from veilmark.client.trust import read_trust
from veilmark.provenance.embedded.seal import Seal, SealState
from veilmark.provenance.parallel import usable_cores
from veilmark.provenance.verdict import Verdict, Verification
from veilmark.provenance.verify import verify_path

_COLOURS = dict.fromkeys((Verdict.SEALED, Verdict.UNDETERMINED, Verdict.MARK_ONLY), "yellow") | {
    Verdict.AUTHENTIC: "green"
}
_MAX_PROBLEMS = 20


def verify(
    path: Annotated[Path, typer.Argument(help="A release bundle (folder or zip) or one image.")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="The bundle (folder or zip) to check one image against.")
    ] = None,
    trust_root: Annotated[
        Path | None,
        typer.Option("--trust-root", help="The publisher's trust-root.json, or a folder of veilmark trust update."),
    ] = None,
    revoked: Annotated[
        list[str] | None, typer.Option("--revoked", help="A release id or manifest digest known to be recalled.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="A checkpoint of the publisher's log that you have seen before."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify a bundle or an image. Exit codes: 0 authentic, 10 altered but ours, 11 mark only, 12 copied mark,
    13 recalled, 14 unmarked, 15 undetermined (an image alone whose seal holds: sealed), 2 bad input."""
    root, taken_back = read_trust(trust_root)
    result = verify_path(
        path,
        bundle=bundle,
        trust_root=root,
        revoked=[*(revoked or ()), *taken_back],
        checkpoint=checkpoint,
        n_processes=usable_cores(),
    )
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        _print(path, result)
    raise typer.Exit(result.exit_code)


def _print(path: Path, result: Verification) -> None:
    console = Console(highlight=False, soft_wrap=True)
    colour = _COLOURS.get(result.verdict, "red")
    subject = result.image_id or (f"{result.n_images} images" if result.n_images else "")
    of_release = f"release {result.release_id}" if result.release_id else ""
    copy = f"the copy for grant {result.grant_id}" if result.grant_id else ""
    about = ", ".join(part for part in (of_release, copy, subject) if part)
    console.print(
        f"{escape(str(path))}: [bold {colour}]{result.verdict.word}[/]{escape(f' ({about})' if about else '')}"
    )
    for problem in result.problems[:_MAX_PROBLEMS]:
        console.print(f"  {escape(str(problem))}")
    if len(result.problems) > _MAX_PROBLEMS:
        console.print(f"  and {len(result.problems) - _MAX_PROBLEMS} more")
    if result.seal:
        _print_seal(console, result.seal)
    if result.proven_time:
        stamped = f"signed no later than {result.proven_time.text}, says {result.proven_time.authority}"
        console.print(f"  {escape(stamped)}")
    if result.detection and result.detection.id:
        console.print(f"  mark {result.detection.id} (a pointer, no proof), stage {result.detection.stage}")


def _print_seal(console: Console, seal: Seal) -> None:
    at = f" at {seal.signed_at}, as it says" if seal.signed_at else ""
    if seal.state is SealState.VERIFIED:
        console.print(f"  {escape(f'its {seal.kind} is whole: {seal.signer} signed this very file{at}')}")
        console.print("  not known: whether its release was approved, logged or recalled; give --bundle to learn it")
    elif seal.state is SealState.UNREAD:
        console.print(f"  {escape(f'its {seal.kind} {seal.what}')}")
    elif seal.signer:
        console.print(f"  {escape(f'its {seal.kind} {seal.what}; signed by {seal.signer}')}")
