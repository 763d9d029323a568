"""Cells in processes of their own, what is finished kept at once, what is known not measured twice."""

from __future__ import annotations

import math
import multiprocessing
import platform
import resource
import sys
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from audits import checks
from audits.base import AuditError, AuditInput, Progress
from audits.bench.cells import FIGURES, REAL, Cell, CellResult, add_result, read_results
from audits.bench.datasets import Cohort
from audits.bench.judging import judge
from audits.bench.likeness import measure_likeness
from audits.bench.rows import REFUSALS, Made, Material, make_images, spend_of_row
from audits.checks import MIN_SUBJECTS, white_level
from audits.files import require_writable
from generators.data import ImageSet, Strings

# getrusage counts bytes on macOS and KiB elsewhere.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "opacus", "prdc")
MIN_PER_LABEL = 5


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One split of a cohort, ready for cells: the arms, those on which classifiers are judged, what is public."""

    arms: AuditInput
    test: ImageSet
    view: Strings | None
    rarest: str
    material: Material


@dataclass(frozen=True, kw_only=True)
class Work:
    """Cells and the bench that they share."""

    cells: Sequence[Cell]
    bench: Bench


def open_bench(cohort: Cohort, *, public: ImageSet | None, device: str) -> Bench:
    """The arms of the cohort's split. Raises AuditError where no row could be judged on them."""
    images = cohort.images
    if images.label is None:
        raise AuditError("has no labels", where="data", remedy="name its label column")
    train, holdout, control = (images.of_split(name) for name in ("train", "holdout", "control"))
    reason = checks.too_few(train=train, holdout=holdout)
    if reason:
        raise AuditError(reason, where="data", remedy="give a larger cohort, or leave the cap out")
    arms = AuditInput(train=train, holdout=holdout, control=control, synthetic=train)
    judged = np.isin(images.split, cohort.judged)  # type: ignore[arg-type]  # every reader splits
    test = images.select(judged)
    unseen = ~checks.identical_to(train, test)
    return Bench(
        arms=arms,
        test=test.select(unseen),
        view=None if cohort.view is None else cohort.view[judged][unseen],
        rarest=_rarest(train, test),
        material=Material(train=train, public=public, simulate=cohort.simulate, device=device),
    )


def run_cells(work: Sequence[Work], *, out: Path, progress: Progress, command: str = "") -> list[CellResult]:
    """The results of the cells, those that `out` holds taken from there, the others measured and added to it at once.

    A row that is refused is written down with its reason and tried again by the next run. Raises AuditError.
    """
    require_writable(out)
    known = {result.cell: result for result in read_results(out) if not result.refused}
    cells = [(cell, part.bench) for part in work for cell in part.cells]
    for done, (cell, bench) in enumerate(cells):
        progress(done, len(cells), cell.title)
        if cell not in known:
            known[cell] = replace(_measure_apart(cell, bench), command=command)
            add_result(out, known[cell])
    progress(len(cells), len(cells), "done")
    return [known[cell] for cell, _ in cells]


def _rarest(train: ImageSet, test: ImageSet) -> str:
    """The label of the fewest training subjects. Raises AuditError where one is too rare to be judged."""
    assert train.label is not None  # noqa: S101 - `open_bench` looked
    assert test.label is not None  # noqa: S101 - as above
    people = {str(word): train.select(train.label == word).n_subjects for word in np.unique(train.label)}
    tested = {word: int(np.sum(test.label == word)) for word in people}
    few = [word for word in people if min(people[word], tested[word]) < MIN_PER_LABEL]
    if len(people) < 2 or few:
        what = f"label {few[0]} has fewer than {MIN_PER_LABEL} people" if few else "fewer than two labels"
        raise AuditError(what, where="data", remedy="merge labels, or give a larger cohort")
    return min(people, key=lambda word: people[word])


def _measure_apart(cell: Cell, bench: Bench) -> CellResult:
    """`_measure` in a process of its own. A fork server is used because a child that this process starts itself would
    count this one's peak of memory as its own (Linux hands it on through exec)."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_measure, cell, bench).result()
        except BrokenProcessPool:
            raise AuditError(
                "its process was killed", where=cell.title, remedy="free memory, then run the same command again"
            ) from None


def _measure(cell: Cell, bench: Bench) -> CellResult:
    try:
        made = make_images(cell, bench.material)
    except REFUSALS as refusal:
        return _result(cell, dict.fromkeys(FIGURES), refused=str(refusal))
    except Exception as fault:  # a fault of one row must not cost the others their night
        traceback.print_exc()
        return _result(cell, dict.fromkeys(FIGURES), refused=f"failed with {type(fault).__name__}: {fault}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    before = _cpu_s()
    arms = replace(bench.arms, synthetic=made.images, seed=cell.seed)
    white = white_level(arms)
    judged = judge(made.images, bench.test, rarest=bench.rarest, view=bench.view, white=white, seed=cell.seed)
    likeness = measure_likeness(arms, white=white, delta=cell.delta, attack=made.spend is not None)
    figures = {**judged.figures, **likeness.figures, **_costs(made), "peak_memory_bytes": float(peak)}
    return replace(
        _result(cell, figures),
        reasons={**likeness.reasons, **_missing(cell, made, bench)},
        by_judge=judged.by_judge,
        spend=spend_of_row(made, cell),
        gpu=made.gpu,
        judging_cpu_s=_cpu_s() - before,
        details={**likeness.details, "rarest": bench.rarest, "n_test": len(bench.test), "n_shown": len(made.images)},
    )


def _result(cell: Cell, figures: Mapping[str, float | None], *, refused: str = "") -> CellResult:
    return CellResult(
        cell=cell,
        figures=figures,
        reasons={},
        by_judge={},
        spend=None,
        versions={name: version(name) for name in LIBRARIES},
        machine=f"{platform.system()} {platform.machine()}, {multiprocessing.cpu_count()} cores",
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        refused=refused,
    )


def _costs(made: Made) -> dict[str, float | None]:
    spent = None if made.spend is None else made.spend.spent_epsilon
    return {
        "spent_epsilon": spent if spent is None or math.isfinite(spent) else None,
        "cpu_s": made.cpu_s,
        "wall_s": made.wall_s,
        "gpu_s": made.gpu_s,
    }


def _missing(cell: Cell, made: Made, bench: Bench) -> dict[str, str]:
    reasons = {}
    if made.spend is None:
        reasons["audited_epsilon"] = "real images" if cell.row == REAL else "no private image was used"
    elif not math.isfinite(made.spend.spent_epsilon):
        reasons["spent_epsilon"] = "trained without privacy"
    if bench.view is None:
        reasons["within_view_auc"] = "the cohort has no views"
    return reasons


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


__all__ = ["MIN_SUBJECTS", "Bench", "Work", "open_bench", "run_cells"]
