"""`python -m audits claim`: a generator's folder alone; with images, a training run with canaries too."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from audits.console import one_line_errors
from audits.files import require_writable, write_atomically
from audits.privacy.dp_claim import claim_measurements
from audits.wording import figure, sentence, title
from generators.data import ImageSet
from generators.folder import load_card

SCHEMA = "veilmark/claim-audit/1"


@one_line_errors
def claim_command(
    generator: Annotated[Path, typer.Option(help="The generator's folder: card and steps.log.")],
    canaries: Annotated[int, typer.Option(min=8, help="Subjects of known gradient in each private step.")] = 1000,
    train: Annotated[
        Path | None, typer.Option(help="Images (.npz): also train once on them with canaries among the people.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the measurements (JSON).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of canaries; noise is the trainer's own.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements as one JSON object.")] = False,
) -> None:
    """Put the privacy claim of a generator's card to the test. Exit code 0 whatever was found."""
    require_writable(out)
    load_card(generator)
    images = None if train is None else ImageSet.load(train).of_split("train")
    measurements = claim_measurements(generator, seed=seed, n_canaries=canaries)
    if images is not None:
        from audits.claims.one_run_measure import one_run_measurements  # noqa: PLC0415 - listing audits needs no torch

        measurements += one_run_measurements(generator, images, n_canaries=canaries, seed=seed)
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
            claimed, found = figure(m.baseline), figure(m.value)
            typer.echo(f"    Epsilon claimed {claimed}, found at least {found}; the method's ceiling is {ceiling:.1f}.")
        if m.status.value == "detected":
            typer.echo(f"    {m.reason}")
