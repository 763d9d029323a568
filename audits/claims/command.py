"""`python -m audits claim`: a generator's folder alone, without any image."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from audits.console import one_line_errors
from audits.files import require_writable, write_atomically
from audits.privacy.dp_claim import claim_measurements
from audits.wording import sentence, title
from generators.folder import load_card

SCHEMA = "veilmark/claim-audit/1"


@one_line_errors
def claim_command(
    generator: Annotated[Path, typer.Option(help="The generator's folder: card and steps.log.")],
    canaries: Annotated[int, typer.Option(min=8, help="Subjects of known gradient in each private step.")] = 1000,
    out: Annotated[Path | None, typer.Option(help="Where to write the measurements (JSON).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of canaries; noise is the trainer's own.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements as one JSON object.")] = False,
) -> None:
    """Put the privacy claim of a generator's card to the test. Exit code 0 whatever was found."""
    require_writable(out)
    load_card(generator)
    measurements = claim_measurements(generator, seed=seed, n_canaries=canaries)
    body = json.dumps({"schema": SCHEMA, "seed": seed, "measurements": [asdict(m) for m in measurements]})
    if out:
        write_atomically(out, body)
    if as_json:
        typer.echo(body)
        return
    for m in measurements:
        typer.echo(f"{title(m)}: {m.status.value}\n    {sentence(m)}")
        ceiling = m.details.get("ceiling")
        if isinstance(ceiling, float):
            typer.echo(f"    {m.details['n_canaries']} canaries; the method could have shown epsilon {ceiling:.1f}.")
        if m.status.value == "detected":
            typer.echo(f"    {m.reason}")
