"""The planner's record, from what the benchmark measured: `plan` expects nothing that no run has shown.

    python -m tests.benchmarks.generators.planner_record cxr_nih_1000=64 digits=8 > generators/plans/record.json

Each word names a results file and the side of its images in pixels. A row of the record is the median over the runs of
one generator at one epsilon; where a set was measured in several settings, the one with most runs holds.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from audits.bench.cells import REAL, CellResult, read_results
from generators.plans.record import SCHEMA, RecordRow
from generators.registry import GENERATORS

RESULTS = Path(__file__).parent / "results"
Key = tuple[str, float]


def rows_of(results: Sequence[CellResult], size: int) -> list[RecordRow]:
    """Rows of the registered generators, private ones alone, each beside the real images of its own split."""
    real = {result.cell.split_seed: result for result in results if result.cell.row == REAL}
    found: dict[Key, list[CellResult]] = {}
    for result in results:
        cell = result.cell
        if cell.row in GENERATORS and cell.epsilon is not None and not result.refused and cell.split_seed in real:
            found.setdefault((cell.row, cell.epsilon), []).append(result)
    return [_row(runs, real, size) for runs in found.values()]


def _row(runs: Sequence[CellResult], real: dict[int, CellResult], size: int) -> RecordRow:
    settings = Counter(run.cell.settings for run in runs).most_common(1)[0][0]
    runs = [run for run in runs if run.cell.settings == settings]
    cell = runs[-1].cell
    assert cell.epsilon is not None  # `rows_of` left the others out
    pairs = [(run, real[run.cell.split_seed]) for run in runs]
    ratio = median(_figure(a, "tstr_balanced_accuracy") / _figure(b, "tstr_balanced_accuracy") for a, b in pairs)
    difference = median(_figure(a, "tstr_auc") - _figure(b, "tstr_auc") for a, b in pairs)
    return RecordRow(
        data=cell.data,
        n_subjects=cell.public_n_subjects,
        size=size,
        epsilon=cell.epsilon,
        row=cell.row,
        accuracy_ratio=round(ratio, 3),
        auc_difference=round(difference, 3),
        seconds=max(1, round(median(_figure(run, "cpu_s") for run in runs))),
        settings=cell.config,
    )


def _figure(result: CellResult, name: str) -> float:
    value = result.figures[name]
    if value is None:
        raise SystemExit(f"{result.cell.title}: no {name}; run the benchmark again")
    return value


def main() -> None:
    """Print the record."""
    if not sys.argv[1:]:
        raise SystemExit(__doc__)
    results: list[CellResult] = []
    rows: list[RecordRow] = []
    for word in sys.argv[1:]:
        name, _, size = word.partition("=")
        measured = read_results(RESULTS / f"{name}.jsonl")
        if not measured or not size.isdigit():
            raise SystemExit(f"{word}: give NAME=PIXELS of a file in {RESULTS}")
        results += measured
        rows += rows_of(measured, int(size))
    about = {
        "machine": results[-1].machine,
        "date": max(result.measured_at for result in results)[:10],
        "command": "python -m audits bench; the command of each row is in tests/benchmarks/generators/results",
    }
    body = [{key: value for key, value in asdict(row).items() if value not in ("cpu", {}, None)} for row in rows]
    lines = ",\n".join(json.dumps(row) for row in body)
    head = json.dumps(about)[:-1]
    sys.stdout.write(f'{head}, "{SCHEMA}": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
