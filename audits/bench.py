"""The benchmark of generators: all on one split of one cohort, cell by cell, finished cells kept as JSON lines.

The figures are computed on real people without noise: results of a private cohort stay on site.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from audits.base import AuditError, AuditInput, Progress
from audits.checks import MIN_SUBJECTS
from audits.files import require_writable, write_atomically
from audits.registry import run_audits
from generators.conditions import even_counts
from generators.data import ImageSet
from generators.privacy import PrivacyBudget, PrivacySpend
from generators.registry import GENERATORS, get_generator
from generators.runner import sample_generator, train_generator

SCHEMA = "veilmark/bench/1"
REAL = "real"
AUDITS = ("train_on_synthetic", "kernel_distance", "manifold")
# The table's name of a figure, and the measurement that it is.
MEASURED = {
    "tstr_auc": "train_on_synthetic.auc",
    "tstr_minus_trtr": "train_on_synthetic.auc_difference",
    "kernel_distance": "kernel_distance.mmd",
    "density": "manifold.density",
    "coverage": "manifold.coverage",
}
FIGURES = (*MEASURED, "spent_epsilon", "wall_s", "peak_memory_bytes")
# getrusage counts bytes on macOS and KiB elsewhere.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of one row, with all that decides its figures: equal cells are the same work.

    data_digest: of the cohort as resized and split. row: REAL or a generator.
    unit: subject, or record where subjects are unknown. epsilon: None for REAL.
    n_images: synthetic images, in equal parts over the labels.
    """

    data: str
    data_digest: str
    row: str
    unit: str
    epsilon: float | None
    delta: float
    accountant: str
    public_n_subjects: int
    n_images: int
    seed: int

    @property
    def title(self) -> str:
        return self.row if self.epsilon is None else f"{self.row}, epsilon {self.epsilon:g}, seed {self.seed}"

    def budget(self) -> PrivacyBudget:
        """What the run may spend. Raises BudgetError."""
        return PrivacyBudget(
            target_epsilon=self.epsilon or 0,
            target_delta=self.delta,
            public_n_subjects=self.public_n_subjects,
            accountant=self.accountant,
            privacy_unit=self.unit,
        )


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """figures: by the names of FIGURES, None where there is none. intervals: 95 %, of the measured ones.

    reasons: why a figure is missing or falls short. wall_s: seconds of training and sampling, imports left out.
    peak_memory_bytes: resident in the cell's own process until sampling ends; that of REAL is what libraries and cohort
    take alone.
    """

    cell: Cell
    figures: Mapping[str, float | None]
    intervals: Mapping[str, Sequence[float | None]]
    reasons: Mapping[str, str]
    spend: Mapping[str, object] | None
    versions: Mapping[str, str]
    machine: str
    measured_at: str
    schema: str = SCHEMA


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """Medians over seeds; None as soon as one seed lacks the figure."""

    row: str
    epsilon: float | None
    n_seeds: int
    medians: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class _Made:
    images: ImageSet
    spend: PrivacySpend | None = None
    wall_s: float | None = None


def plan_cells(real: Cell, *, generators: Sequence[str], epsilons: Sequence[float], n_seeds: int) -> list[Cell]:
    """`real`, which has no seeds, then every generator at every epsilon and seed, in its setting.

    Raises AuditError or BudgetError, so that a wrong wish costs no work.
    """
    for name in generators:
        if name not in GENERATORS:
            raise AuditError(f"no such generator: {name}", where="bench", remedy=f"choose of {', '.join(GENERATORS)}")
    if n_seeds < 1:
        raise AuditError(f"is {n_seeds}", where="seeds", remedy="ask for at least 1")
    if real.n_images < MIN_SUBJECTS:
        raise AuditError(f"is {real.n_images}", where="n", remedy=f"draw at least {MIN_SUBJECTS} images")
    cells = [
        replace(real, row=name, epsilon=epsilon, seed=seed)
        for name in dict.fromkeys(generators)
        for epsilon in dict.fromkeys(epsilons)
        for seed in range(n_seeds)
    ]
    for cell in cells:
        cell.budget()
    return [real, *cells]


def run_cells(cells: Sequence[Cell], arms: AuditInput, *, out: Path, progress: Progress) -> list[CellResult]:
    """The results of `cells`, those that `out` holds taken from there, the others measured and added to it at once.

    Raises AuditError and GeneratorError; what was finished before stays in `out`.
    """
    require_writable(out)
    known = {result.cell: result for result in read_results(out)}
    for done, cell in enumerate(cells):
        progress(done, len(cells), cell.title)
        if cell not in known:
            known[cell] = _measure_apart(cell, arms)
            # Read anew: another run may have added cells meanwhile.
            _write_results(out, [*read_results(out), known[cell]])
    progress(len(cells), len(cells), "done")
    return [known[cell] for cell in cells]


def read_results(path: Path) -> list[CellResult]:
    """The results in a file of JSON lines, none where there is no file. Raises AuditError for any other line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except UnicodeDecodeError:
        raise AuditError("is no text", where=str(path), remedy="choose another file") from None
    results = []
    for number, line in enumerate(lines, start=1):
        try:
            body = json.loads(line)
            results.append(CellResult(**{**body, "cell": Cell(**body["cell"])}))
        except (ValueError, TypeError, KeyError):
            where = f"{path} line {number}"
            raise AuditError("is no result of a benchmark", where=where, remedy="choose another file") from None
    return results


def summarise(results: Sequence[CellResult]) -> list[SummaryRow]:
    """One row for each generator and epsilon, in the order of `results`."""
    groups: dict[tuple[str, float | None], list[CellResult]] = {}
    for result in results:
        groups.setdefault((result.cell.row, result.cell.epsilon), []).append(result)
    return [
        SummaryRow(
            row=row,
            epsilon=epsilon,
            n_seeds=len(group),
            medians={name: _median([result.figures[name] for result in group]) for name in FIGURES},
        )
        for (row, epsilon), group in groups.items()
    ]


def _median(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return statistics.median(present) if len(present) == len(values) else None


def _write_results(path: Path, results: Sequence[CellResult]) -> None:
    write_atomically(path, "".join(json.dumps(asdict(result), allow_nan=False) + "\n" for result in results))


def _measure_apart(cell: Cell, arms: AuditInput) -> CellResult:
    """`_measure` in a process of its own. A fork server is used because a child that this process starts itself would
    count this one's peak of memory as its own (Linux hands it on through exec)."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_measure, cell, arms).result()
        except BrokenProcessPool:
            raise AuditError(
                "its process was killed", where=cell.title, remedy="free memory, then run the same command again"
            ) from None


def _measure(cell: Cell, arms: AuditInput) -> CellResult:
    made = _Made(images=arms.train) if cell.row == REAL else _make(cell, arms.train)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    report = run_audits(replace(arms, synthetic=made.images), only=AUDITS)
    by_name = {m.name: m for m in report.measurements}
    measured = {figure: by_name[name] for figure, name in MEASURED.items()}
    return CellResult(
        cell=cell,
        figures={
            **{name: m.value for name, m in measured.items()},
            "spent_epsilon": None if made.spend is None else made.spend.spent_epsilon,
            "wall_s": made.wall_s,
            "peak_memory_bytes": peak,
        },
        intervals={name: (m.ci_low, m.ci_high) for name, m in measured.items()},
        reasons={name: m.reason for name, m in measured.items() if m.reason},
        spend=None if made.spend is None else asdict(made.spend),
        versions=report.versions,
        machine=platform.platform(),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _make(cell: Cell, train: ImageSet) -> _Made:
    """Train and sample; the generator's folder is not kept."""
    get_generator(cell.row)
    started = time.monotonic()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "generator"
        card = train_generator(name=cell.row, images=train, budget=cell.budget(), out=folder, seed=cell.seed)
        images = sample_generator(folder, even_counts(card.labels, cell.n_images), seed=cell.seed)
    return _Made(images=images, spend=card.spend, wall_s=time.monotonic() - started)
