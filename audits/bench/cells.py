"""A cell of the benchmark: what is measured, and what came out. Results are JSON lines, one a finished cell."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from audits.base import AuditError
from generators.privacy import PrivacyBudget

SCHEMA = "veilmark/bench/2"
REAL, SIMULATOR = "real", "simulator"
NONE = "@none"
FIGURES = (
    "tstr_auc",
    "tstr_accuracy",
    "tstr_balanced_accuracy",
    "rarest_sensitivity",
    "within_view_auc",
    "group_auc_gap",
    "kernel_distance",
    "density",
    "coverage",
    "spectrum_db",
    "real_vs_synthetic_auc",
    "audited_epsilon",
    "spent_epsilon",
    "cpu_s",
    "wall_s",
    "gpu_s",
    "peak_memory_bytes",
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of one row, with all that decides its figures: equal cells are the same work.

    data_digest: of the cohort as resized and split. row: REAL, SIMULATOR, a peer, a generator or NAME@none.
    unit: subject, or record where people are unknown. epsilon: None for a row without privacy.
    n_images: synthetic images, in equal parts over the labels. public: name and digest of the public images.
    settings: `key=value` of this row's `--set`, sorted.
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
    split_seed: int = 0
    public: str = "phantoms"
    settings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        named = f"{self.row}, split {self.split_seed}"
        return named if self.row == REAL else f"{named}, epsilon {self.epsilon or 'none'}, seed {self.seed}"

    @property
    def family(self) -> str:
        """The row without NONE."""
        return self.row.removesuffix(NONE)

    @property
    def config(self) -> dict[str, str]:
        """The settings as a mapping."""
        return dict(pair.split("=", 1) for pair in self.settings)

    def budget(self) -> PrivacyBudget:
        """What the run may spend. Raises BudgetError."""
        if self.epsilon is None:
            return PrivacyBudget.without_privacy(public_n_subjects=self.public_n_subjects, privacy_unit=self.unit)
        return PrivacyBudget(
            target_epsilon=self.epsilon,
            target_delta=self.delta,
            public_n_subjects=self.public_n_subjects,
            accountant=self.accountant,
            privacy_unit=self.unit,
        )


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """figures: by the names of FIGURES, None where there is none. reasons: why one is missing.

    refused: why the row has no images at all, else empty; a refused cell is tried again by the next run.
    by_judge: the figures of each judge. cpu_s, wall_s: seconds of training and sampling, imports left out.
    peak_memory_bytes: resident in the cell's own process until sampling ends; that of REAL is what libraries and
    cohort take alone. gpu: its name, empty without one.
    """

    cell: Cell
    figures: Mapping[str, float | None]
    reasons: Mapping[str, str]
    by_judge: Mapping[str, Mapping[str, float | None]]
    spend: Mapping[str, object] | None
    versions: Mapping[str, str]
    machine: str
    measured_at: str
    refused: str = ""
    gpu: str = ""
    command: str = ""
    judging_cpu_s: float = 0.0
    details: Mapping[str, object] = field(default_factory=dict)
    schema: str = SCHEMA


def read_results(path: Path) -> list[CellResult]:
    """The results in a file of JSON lines, none where there is no file; of equal cells the last holds.

    A last line without its end, torn by a kill, is left out. Raises AuditError for any other line.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except UnicodeDecodeError:
        raise AuditError("is no text", where=str(path), remedy="choose another file") from None
    found: dict[Cell, CellResult] = {}
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        try:
            result = _result(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError):
            if not line.endswith("\n") and found:
                continue
            where = f"{path} line {number}"
            raise AuditError("is no result of a benchmark", where=where, remedy="choose another file") from None
        found[result.cell] = result
    return list(found.values())


def add_result(path: Path, result: CellResult) -> None:
    """Append one line, synced; several runs may share the file. A torn last line is removed first."""
    line = json.dumps(asdict(result), allow_nan=False).encode() + b"\n"
    with path.open("ab+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        held = stream.read()
        stream.truncate(held.rfind(b"\n") + 1)
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


def _result(body: dict[str, object]) -> CellResult:
    held: dict[str, object] = dict(body["cell"])  # type: ignore[call-overload]  # a mapping, or no result at all
    cell = Cell(**{**held, "settings": tuple(_words(held["settings"]))})  # type: ignore[arg-type]  # as it was written
    result = CellResult(**{**body, "cell": cell})  # type: ignore[arg-type]  # as above
    if set(result.figures) != set(FIGURES):
        raise KeyError("figures")
    return result


def _words(value: object) -> Sequence[str]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return [str(word) for word in value]
