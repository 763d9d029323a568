"""`python -m audits bench` and `bench-table`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from audits.base import AuditError
from audits.bench.cells import NONE, CellResult, read_results
from audits.console import one_line_errors, progress_bar
from audits.files import require_writable
from generators.privacy import DEFAULT_DELTA

if TYPE_CHECKING:
    from audits.bench.asking import Ask
    from audits.bench.datasets import Wish

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
    from audits.bench.asking import Ask, parse_settings, wanted_rows  # noqa: PLC0415 - torch: the other commands need none
    from audits.bench.datasets import Wish  # noqa: PLC0415 - torch: the other commands need none

    require_writable(out)
    read_results(out)
    by_row = parse_settings(settings or ())
    ask = Ask(
        data=data,
        rows=wanted_rows(rows, by_row),
        settings=by_row,
        epsilons=epsilon,
        n_seeds=seeds,
        n_images=n,
        public=public,
        public_n=public_n,
        delta=delta,
        accountant=accountant,
        device=device,
    )
    columns = {"label": label, "subject": subject, "sex": sex, "age": age}
    wish = Wish(size=size, n_phantoms=subjects, cap=cap, columns=columns, split_seed=split_seed)
    _print(_compare(ask, wish, n_splits=splits, out=out), out, as_json=as_json)


@one_line_errors
def table_command(
    results: Annotated[list[Path], typer.Argument(help="Files of JSON lines that `bench` wrote.")],
) -> None:
    """Print the Markdown table of results: rows by epsilon, and the best of ours against every other row."""
    for path in results:
        if not path.is_file():
            raise AuditError("no such file", where=str(path), remedy="give a file that `bench` wrote")
    _print_table([result for path in results for result in read_results(path)])


def _compare(ask: Ask, wish: Wish, *, n_splits: int, out: Path) -> Sequence[CellResult]:
    """Every cell of each split, the wish's own first."""
    from audits.bench.running import run_cells  # noqa: PLC0415 - torch: the other commands need none

    if n_splits < 1:
        raise AuditError(f"is {n_splits}", where="splits", remedy="ask for at least 1")
    work = [ask.work(replace(wish, split_seed=wish.split_seed + i)) for i in range(n_splits)]
    with progress_bar("checking the arms") as progress:
        return run_cells(work, out=out, progress=progress, command=_command_line())


def _command_line() -> str:
    return f"python -m audits {shlex.join(sys.argv[1:])}"


def _print(results: Sequence[CellResult], out: Path, *, as_json: bool) -> None:
    for line in dict.fromkeys(f"left out {result.cell.row}: {result.refused}" for result in results if result.refused):
        typer.echo(line, err=True)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "results": [asdict(result) for result in results]}))
    else:
        _print_table(results)


def _print_table(results: Sequence[CellResult]) -> None:
    from audits.bench.table import markdown  # noqa: PLC0415 - torch: the other commands need none

    typer.echo(markdown(results))
