"""`python -m audits`: list the audits, run them on arms given as files, compare generators by them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.core import TyperCommand

from audits.base import AuditError, AuditInput, Measurement
from audits.base import Progress as ProgressCallback
from audits.bench import FIGURES, REAL, Cell, SummaryRow, plan_cells, run_cells, summarise
from audits.bench_cohort import PHANTOMS, arms_of, load_cohort
from audits.files import require_writable, write_atomically
from audits.page import render_html
from audits.registry import list_audits, run_audits
from audits.report import Audience, AuditReport
from generators.base import GeneratorError
from generators.data import ImageSet
from generators.privacy import DEFAULT_DELTA
from generators.registry import GENERATORS

P = ParamSpec("P")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (AuditError, GeneratorError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None

    return guarded


@app.command("list")
@_one_line_errors
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
@_one_line_errors
def run_command(  # noqa: PLR0913, PLR0917 - one argument an option
    train: Annotated[Path, typer.Option(help="Images that the generator saw (.npz).")],
    holdout: Annotated[Path, typer.Option(help="Images of other people, from the same source.")],
    synthetic: Annotated[Path, typer.Option(help="The synthetic images.")],
    out: Annotated[Path, typer.Option(help="Where to write the report (JSON).")],
    control: Annotated[Path | None, typer.Option(help="Images that only auditors use.")] = None,
    generator: Annotated[Path | None, typer.Option(help="The generator's folder.")] = None,
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
        holdout=_arm(holdout, "holdout"),
        synthetic=ImageSet.load(synthetic),
        control=None if control is None else _arm(control, "control"),
        generator=_folder(generator),
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


class ManyValues(TyperCommand):
    """Lets options that may be repeated take their values in a row too: `--epsilon 1 8`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spread, option = [], ""
        for before, word in zip(["", *args], args, strict=False):
            if word.startswith("--"):
                option = word
            elif option in {"--epsilon", "--generator"} and before != option:
                spread.append(option)
            spread.append(word)
        return super().parse_args(ctx, spread)


@app.command("bench", cls=ManyValues)
@_one_line_errors
def bench_command(  # noqa: PLR0913 - one argument an option
    *,
    data: Annotated[str, typer.Option(help="phantoms, a folder with images.npz, or a shared data set's name.")],
    epsilon: Annotated[list[float], typer.Option(help="Epsilon a subject; one or several.")],
    out: Annotated[Path, typer.Option(help="JSON lines, one a cell; cells that are there are not repeated.")],
    generator: Annotated[list[str] | None, typer.Option(help="One or several; all without it.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each generator at each epsilon.")] = 3,
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
    n: Annotated[int, typer.Option("--n", help="Synthetic images, in equal parts over the labels.")] = 400,
    subjects: Annotated[int, typer.Option(help="Phantoms to draw, before the split.")] = 600,
    public_n: Annotated[int | None, typer.Option(help="Declared bound on training subjects.")] = None,
    delta: Annotated[float, typer.Option(help="Delta, at most 1 / (10 x public n).")] = DEFAULT_DELTA,
    accountant: Annotated[str, typer.Option(help="rdp or prv.")] = "prv",
    split_seed: Annotated[int, typer.Option(min=0, help="Another seed, another split by subject.")] = 0,
    label: Annotated[str | None, typer.Option(help="Column of labels.")] = None,
    subject: Annotated[str | None, typer.Option(help="Column of subjects.")] = None,
    sex: Annotated[str | None, typer.Option(help="Column of sex.")] = None,
    age: Annotated[str | None, typer.Option(help="Column of ages in years.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as one JSON object.")] = False,
) -> None:
    """Compare generators on one cohort: use, likeness, epsilon spent, time and memory of each."""
    require_writable(out)
    columns = {"label": label, "subject": subject, "sex": sex, "age": age}
    cohort = load_cohort(data, size=size, n_phantoms=subjects, split_seed=split_seed, columns=columns)
    arms = arms_of(cohort)
    real = Cell(
        data=Path(data).name,
        data_digest=cohort.digest,
        row=REAL,
        unit=cohort.privacy_unit,
        epsilon=None,
        delta=delta,
        accountant=accountant,
        public_n_subjects=_public_n(public_n, arms.train if data == PHANTOMS else None),
        n_images=n,
        seed=0,
    )
    cells = plan_cells(real, generators=generator or list(GENERATORS), epsilons=epsilon, n_seeds=seeds)
    with _progress_bar("checking the arms") as progress:
        rows = summarise(run_cells(cells, arms, out=out, progress=progress))
    if as_json:
        typer.echo(json.dumps({"out": str(out), "setting": asdict(real), "rows": [asdict(row) for row in rows]}))
    else:
        _print_rows(rows, real)


def _public_n(declared: int | None, phantoms: ImageSet | None) -> int:
    """The bound that was declared; only of phantoms, who are nobody, may the number itself be read."""
    if declared is not None:
        return declared
    if phantoms is None:
        raise AuditError("no public number of subjects", where="--public-n", remedy="declare a rounded upper bound")
    return phantoms.n_subjects


def _arm(path: Path, split: str) -> ImageSet:
    """The file's images of that split; all of them where the file has no splits."""
    images = ImageSet.load(path)
    return images if images.split is None else images.of_split(split)


def _folder(path: Path | None) -> Path | None:
    if path is not None and not (path / "generator.json").is_file():
        raise AuditError("has no generator.json", where=str(path), remedy="give a folder that `train` wrote")
    return path


def _run(data: AuditInput, only: list[str] | None) -> AuditReport:
    with _progress_bar("checking the arms") as progress:
        return run_audits(data, only=only, progress=progress)


@contextmanager
def _progress_bar(first: str) -> Iterator[ProgressCallback]:
    columns = (TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(first, total=None)
        yield lambda done, total, message: bar.update(task, completed=done, total=total, description=message)


def _print(report: AuditReport) -> None:
    table = Table(box=None)
    for heading in ("audit", "status", "value", "95 % interval", "baseline"):
        table.add_column(heading, no_wrap=True)
    table.add_column("reason")
    for m in report.measurements:
        table.add_row(m.name, m.status.value, _number(m.value), _interval(m), _number(m.baseline), m.reason)
    _print_wide(table)


def _print_rows(rows: list[SummaryRow], real: Cell) -> None:
    guarantee = f"add or remove one {real.unit}, {real.accountant}, delta {real.delta:g}"
    table = Table(box=None, title=f"{real.data}: medians over seeds; epsilon: {guarantee}")
    for heading in (
        "generator",
        "epsilon",
        "seeds",
        *(name.removesuffix("_bytes").replace("_", " ") for name in FIGURES),
    ):
        table.add_column(heading)
    for row in rows:
        medians = [_figure(name, row.medians[name]) for name in FIGURES]
        table.add_row(row.row, "-" if row.epsilon is None else f"{row.epsilon:g}", str(row.n_seeds), *medians)
    _print_wide(table)


def _figure(name: str, value: float | None) -> str:
    return f"{value / 2**20:.0f} MiB" if name == "peak_memory_bytes" and value is not None else _number(value)


def _print_wide(table: Table) -> None:
    wide = Console(file=sys.stdout)
    wide.width = max(wide.width, 150)
    wide.print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(m: Measurement) -> str:
    return f"{_number(m.ci_low)} to {_number(m.ci_high)}" if m.ci_low is not None else "-"
