"""`python -m audits`: list the audits, run them on arms given as files, compare generators by them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from audits.base import AuditError, AuditInput, Measurement
from audits.bench.command import ManyValues, bench_command, table_command
from audits.claims.command import claim_command
from audits.console import one_line_errors, progress_bar
from audits.detectors.command import detect_command, detector_command
from audits.files import read_arm, read_marks, require_writable, write_atomically
from audits.page import render_html
from audits.registry import list_audits, run_audits
from audits.report import Audience, AuditReport
from audits.shadows.command import weights_command
from generators.data import ImageSet

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command("list")
@one_line_errors
def list_command(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Name every audit and what it asks."""
    audits = list_audits()
    if as_json:
        body = [{"name": a.name, "family": a.family, "question": a.question} for a in audits.values()]
        typer.echo(json.dumps({"audits": body}))
        return
    for registered in audits.values():
        typer.echo(f"{registered.family:10} {registered.name:22} {registered.question}")


@app.command("run")
@one_line_errors
def run_command(  # noqa: PLR0913, PLR0917 - one argument an option
    train: Annotated[Path, typer.Option(help="Images that the generator saw (.npz).")],
    holdout: Annotated[Path, typer.Option(help="Images of other people, from the same source.")],
    synthetic: Annotated[Path, typer.Option(help="The synthetic images.")],
    out: Annotated[Path, typer.Option(help="Where to write the report (JSON).")],
    control: Annotated[Path | None, typer.Option(help="Images that only auditors use.")] = None,
    generator: Annotated[Path | None, typer.Option(help="The generator's folder.")] = None,
    public: Annotated[Path | None, typer.Option(help="Public real images, for a receiver's detector.")] = None,
    embedding: Annotated[str, typer.Option(help="Features: network, histograms, pixels or a FILE.onnx.")] = "network",
    marks: Annotated[Path | None, typer.Option(help="Counts of a mark's detector (JSON).")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Run this audit; may be repeated.")] = None,
    html: Annotated[Path | None, typer.Option(help="Where to write the page.")] = None,
    audience: Annotated[Audience, typer.Option(help="Which form of the report.")] = Audience.INTERNAL,
    seed: Annotated[int, typer.Option(help="Seed of every resampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Measure the risk and the worth of a synthetic set. Exit code 0 whatever was found: only policies judge."""
    for path in (out, html):
        require_writable(path)
    data = AuditInput(
        train=ImageSet.load(train).of_split("train"),
        holdout=read_arm(holdout, "holdout"),
        synthetic=ImageSet.load(synthetic),
        control=None if control is None else read_arm(control, "control"),
        generator=_folder(generator),
        public=None if public is None else ImageSet.load(public),
        embedding=embedding,
        marks=None if marks is None else read_marks(marks),
        seed=seed,
    )
    report = _run(data, only)
    body = report.to_json(audience)
    write_atomically(out, json.dumps(body, indent=1, allow_nan=False))
    if html:
        write_atomically(html, render_html(report, audience))
    if as_json:
        typer.echo(json.dumps(body, allow_nan=False))
    else:
        _print(report)


app.command("claim")(claim_command)
app.command("weights")(weights_command)
app.command("detector")(detector_command)
app.command("detect")(detect_command)
app.command("bench", cls=ManyValues)(bench_command)
app.command("bench-table")(table_command)


def _folder(path: Path | None) -> Path | None:
    if path is not None and not (path / "generator.json").is_file():
        raise AuditError("has no generator.json", where=str(path), remedy="give a folder that `train` wrote")
    return path


def _run(data: AuditInput, only: list[str] | None) -> AuditReport:
    with progress_bar("checking the arms") as progress:
        return run_audits(data, only=only, progress=progress)


def _print(report: AuditReport) -> None:
    table = Table(box=None)
    for heading in ("audit", "status", "value", "95 % interval", "baseline"):
        table.add_column(heading, no_wrap=True)
    table.add_column("reason")
    for m in report.measurements:
        table.add_row(m.name, m.status.value, _number(m.value), _interval(m), _number(m.baseline), m.reason)
    wide = Console(file=sys.stdout)
    wide.width = max(wide.width, 150)
    wide.print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(m: Measurement) -> str:
    return f"{_number(m.ci_low)} to {_number(m.ci_high)}" if m.ci_low is not None else "-"
