"""`python -m audits weights`: membership from a generator's weights, with as many shadows as are asked for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from audits.base import AuditInput
from audits.checks import prepare
from audits.console import one_line_errors
from audits.files import read_arm, require_writable, write_atomically
from audits.wording import sentence, title
from generators.data import ImageSet
from generators.folder import load_card

SCHEMA = "veilmark/weights-audit/1"


@one_line_errors
def weights_command(  # noqa: PLR0913, PLR0917 - one argument an option
    generator: Annotated[Path, typer.Option(help="The generator's folder.")],
    train: Annotated[Path, typer.Option(help="Images that the generator saw (.npz).")],
    holdout: Annotated[Path, typer.Option(help="Images of other people, from the same source.")],
    control: Annotated[
        Path | None, typer.Option(help="Images that only auditors use: shadows learn from them.")
    ] = None,
    public: Annotated[Path | None, typer.Option(help="The public images that the card names.")] = None,
    base: Annotated[Path | None, typer.Option(help="The public network that the card names (lora), a folder.")] = None,
    shadows: Annotated[int, typer.Option(min=3, help="How many shadow generators to train; the paper has 8 on.")] = 8,
    keep: Annotated[Path | None, typer.Option(help="Where shadows stay, to go on with or to read again.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train shadows.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Where to write the measurements (JSON): they stay on site.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every split and draw of the audit.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements as one JSON object.")] = False,
) -> None:
    """Attack a generator's weights, however long its shadows take. Exit code 0 whatever was found."""
    from audits.shadows.measuring import Shadows, membership_from_weights  # noqa: PLC0415 - help needs no torch
    from audits.shadows.training import in_processes  # noqa: PLC0415 - as above

    require_writable(out)
    load_card(generator)
    members = ImageSet.load(train).of_split("train")
    arms = AuditInput(
        train=members,
        holdout=read_arm(holdout, "holdout"),
        synthetic=members,  # no synthetic image is looked at
        control=None if control is None else read_arm(control, "control"),
        generator=generator,
        seed=seed,
    )
    asked = Shadows(
        n=shadows,
        keep=keep,
        spread=map if workers == 1 else in_processes(workers),
        most_seconds=None,
        public=None if public is None else ImageSet.load(public),
        base=base,
    )
    measurements = membership_from_weights(prepare(arms)[0], asked)
    body = json.dumps({"schema": SCHEMA, "seed": seed, "measurements": [asdict(m) for m in measurements]})
    if out:
        write_atomically(out, body)
    if as_json:
        typer.echo(body)
        return
    for m in measurements:
        typer.echo(f"{title(m)}: {m.status.value}\n    {sentence(m)}")
