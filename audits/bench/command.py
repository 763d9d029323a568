"""`python -m audits bench` and `bench-table`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from audits.base import AuditError
from audits.bench.cells import NONE, REAL, SIMULATOR, Cell, CellResult, read_results
from audits.bench.datasets import PHANTOMS, Cohort, Wish, load_cohort
from audits.bench.rows import all_rows, check_row
from audits.bench.running import Work, open_bench, run_cells
from audits.bench.table import markdown
from audits.checks import MIN_SUBJECTS
from audits.console import one_line_errors, progress_bar
from audits.files import require_writable
from generators.data import ImageSet
from generators.privacy import DEFAULT_DELTA
from generators.tables import read_public, resize_images

MANY = {"--epsilon", "--rows", "--generators", "--generator", "--set"}


class ManyValues(TyperCommand):
    """Lets options that may be repeated take their values in a row too: `--epsilon 1 8`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spread, option = [], ""
        for before, word in zip(["", *args], args, strict=False):
            if word.startswith("--"):
                option = word
            elif option in MANY and before != option:
                spread.append(option)
            spread.append(word)
        return super().parse_args(ctx, spread)


@one_line_errors
def bench_command(  # noqa: PLR0913 - one argument an option
    *,
    data: Annotated[str, typer.Option(help="A benchmark set, a folder with images.npz, or a shared folder's name.")],
    epsilon: Annotated[list[float], typer.Option(help="Epsilon a subject; one or several.")],
    out: Annotated[Path, typer.Option(help="JSON lines, one a cell; cells that are there are not repeated.")],
    rows: Annotated[
        list[str] | None,
        typer.Option("--rows", "--generators", "--generator", help=f"One or several, NAME{NONE} too; all without it."),
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="ROW.key=value, repeatable.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each row at each epsilon.")] = 3,
    splits: Annotated[int, typer.Option(help="Splits by subject, each with all seeds.")] = 1,
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of the first split.")] = 0,
    size: Annotated[int | None, typer.Option(help="Pixels a side; without it the set's own choice.")] = None,
    n: Annotated[int, typer.Option("--n", help="Synthetic images, in equal parts over the labels.")] = 1000,
    subjects: Annotated[int, typer.Option(help="Phantoms to draw, before the split.")] = 600,
    cap: Annotated[int, typer.Option(min=0, help="At most so many subjects of a set; 0 for all.")] = 0,
    public: Annotated[str | None, typer.Option(help="Public images (.npz), or phantoms.")] = None,
    public_n: Annotated[int | None, typer.Option(help="Declared bound on training subjects.")] = None,
    delta: Annotated[float, typer.Option(help="Delta, at most 1 / (10 x public n).")] = DEFAULT_DELTA,
    accountant: Annotated[str, typer.Option(help="rdp or prv.")] = "prv",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    label: Annotated[str | None, typer.Option(help="Column of labels, for a folder.")] = None,
    subject: Annotated[str | None, typer.Option(help="Column of subjects, for a folder.")] = None,
    sex: Annotated[str | None, typer.Option(help="Column of sex, for a folder.")] = None,
    age: Annotated[str | None, typer.Option(help="Column of ages in years, for a folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as one JSON object.")] = False,
) -> None:
    """Compare generators on one cohort: use, likeness, epsilon spent, time and memory of each."""
    require_writable(out)
    read_results(out)
    by_row = parse_settings(settings or ())
    wanted = list(dict.fromkeys(rows)) if rows else all_rows(by_row)
    for row in dict.fromkeys([*wanted, *by_row]):
        check_row(row, by_row.get(row, ()))
    columns = {"label": label, "subject": subject, "sex": sex, "age": age}
    if splits < 1 or seeds < 1:
        what, value = ("splits", splits) if splits < 1 else ("seeds", seeds)
        raise AuditError(f"is {value}", where=what, remedy="ask for at least 1")
    if n < MIN_SUBJECTS:
        raise AuditError(f"is {n}", where="n", remedy=f"draw at least {MIN_SUBJECTS} images")
    work = []
    for split in range(split_seed, split_seed + splits):
        wish = Wish(size=size, split_seed=split, n_phantoms=subjects, cap=cap, columns=columns)
        cohort = load_cohort(data, wish)
        shown, name = public_images(cohort, public)
        real = Cell(
            data=Path(data).name,
            data_digest=cohort.images.digest,
            row=REAL,
            unit=cohort.unit,
            epsilon=None,
            delta=delta,
            accountant=accountant,
            public_n_subjects=_public_n(public_n, cohort),
            n_images=n,
            seed=0,
            split_seed=split,
            public=name,
        )
        told = {row: merged_settings(cohort, row, by_row.get(row, ())) for row in wanted}
        cells = plan_cells(real, rows=wanted, epsilons=epsilon, n_seeds=seeds, settings=told)
        work.append(Work(cells=cells, bench=open_bench(cohort, public=shown, device=device)))
    with progress_bar("checking the arms") as progress:
        results = run_cells(work, out=out, progress=progress, command=_command_line())
    _print(results, out, as_json=as_json)


@one_line_errors
def table_command(
    results: Annotated[list[Path], typer.Argument(help="Files of JSON lines that `bench` wrote.")],
) -> None:
    """Print the Markdown table of results: rows by epsilon, and the best of ours against every other row."""
    for path in results:
        if not path.is_file():
            raise AuditError("no such file", where=str(path), remedy="give a file that `bench` wrote")
    typer.echo(markdown([result for path in results for result in read_results(path)]))


def plan_cells(
    real: Cell,
    *,
    rows: Sequence[str],
    epsilons: Sequence[float],
    n_seeds: int,
    settings: dict[str, tuple[str, ...]] | None = None,
) -> list[Cell]:
    """The row of real images, which has no seeds, then every other row at every seed and epsilon, in its setting.

    A simulator and a reference without privacy have no epsilon. Raises BudgetError, so that a wrong wish costs no work.
    """
    cells = [real]
    for row in rows:
        if row == REAL:
            continue
        levels: list[float | None] = [None] if row == SIMULATOR or row.endswith(NONE) else list(dict.fromkeys(epsilons))
        own = tuple(sorted((settings or {}).get(row, ())))
        cells += [
            replace(real, row=row, epsilon=level, seed=seed, settings=own)
            for level in levels
            for seed in range(n_seeds)
        ]
    for level in epsilons:
        replace(real, row="", epsilon=level).budget()
    return cells


def parse_settings(pairs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`ROW.key=value` by row. Raises AuditError."""
    found: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        row, dot, key = name.partition(".")
        if not (sign and dot and row and key):
            raise AuditError(f"{pair!r} is no ROW.key=value", where="--set", remedy="as in --set vae.n_steps=50")
        found[row] = (*found.get(row, ()), f"{key}={value}")
    return found


def merged_settings(cohort: Cohort, row: str, given: Sequence[str]) -> tuple[str, ...]:
    """The cohort's own settings of a row's family, those that were given in their place."""
    keys = {pair.split("=", 1)[0] for pair in given}
    own = cohort.settings.get(row.removesuffix(NONE), ())
    return (*(pair for pair in own if pair.split("=", 1)[0] not in keys), *given)


def public_images(cohort: Cohort, wish: str | None) -> tuple[ImageSet | None, str]:
    """The images that cost nothing, as generators take them (None for phantoms), and their name for the cell."""
    if wish == PHANTOMS:
        return None, PHANTOMS
    if wish is None:
        shown, name = cohort.public, cohort.public_name
    else:
        shown, name = resize_images(read_public(Path(wish)), cohort.images.images.shape[1]), Path(wish).name
    return shown, name if shown is None else f"{name} {shown.digest}"


def _public_n(declared: int | None, cohort: Cohort) -> int:
    """The bound that was declared; only of public sets and phantoms may it be read from the set."""
    if declared is not None:
        return declared
    if cohort.public_n is None:
        raise AuditError("no public number of subjects", where="--public-n", remedy="declare a rounded upper bound")
    return cohort.public_n


def _command_line() -> str:
    return f"python -m audits {shlex.join(sys.argv[1:])}"


def _print(results: Sequence[CellResult], out: Path, *, as_json: bool) -> None:
    for line in dict.fromkeys(f"left out {result.cell.row}: {result.refused}" for result in results if result.refused):
        typer.echo(line, err=True)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "results": [asdict(result) for result in results]}))
    else:
        typer.echo(markdown(results))
