"""The table that is read: medians and ranges over seeds, then paired differences with their intervals, in Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from audits.base import AuditError
from audits.bench.cells import NONE, REAL, SIMULATOR, CellResult
from audits.bench.peers import PEERS

HEADINGS = {
    "tstr_balanced_accuracy": "balanced accuracy",
    "tstr_auc": "AUC",
    "tstr_accuracy": "accuracy",
    "rarest_sensitivity": "rarest class sens.",
    "within_view_auc": "AUC within view",
    "group_auc_gap": "group AUC gap",
    "kernel_distance": "kernel distance",
    "density": "density",
    "coverage": "coverage",
    "spectrum_db": "spectrum dB",
    "real_vs_synthetic_auc": "real v. synth. AUC",
    "cpu_s": "CPU s",
    "gpu_s": "GPU s",
    "peak_memory_bytes": "peak MiB",
    "spent_epsilon": "spent epsilon",
    "audited_epsilon": "audited epsilon, at least",
}
COSTS = {"cpu_s", "gpu_s", "peak_memory_bytes", "spent_epsilon", "audited_epsilon"}
PAIRED = ("tstr_balanced_accuracy", "rarest_sensitivity", "tstr_auc", "within_view_auc")
PUBLISHED = ("mean-embedding", *PEERS)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Ours minus theirs over n pairs: mean and 95 % t interval, None with one pair."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class _Group:
    """All results of one row under one setting at one epsilon."""

    row: str
    epsilon: float | None
    results: Sequence[CellResult]

    def values(self, figure: str) -> list[float]:
        return [value for result in self.results if (value := result.figures[figure]) is not None]

    def median(self, figure: str) -> float:
        values = self.values(figure)
        return statistics.median(values) if len(values) == len(self.results) else -math.inf

    @property
    def is_ours(self) -> bool:
        name = self.results[0].cell.row
        return name not in {REAL, SIMULATOR, *PUBLISHED} and not name.endswith(NONE)


def markdown(results: Sequence[CellResult]) -> str:
    """One section for each cohort and setting. Raises AuditError without results."""
    if not results:
        raise AuditError("holds no results", where="bench-table", remedy="run the benchmark first")
    sections: dict[str, list[CellResult]] = {}
    for result in results:
        sections.setdefault(_setting(result), []).append(result)
    return "\n".join(_section(setting, own) for setting, own in sections.items())


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Over pairs in order (Student's t on their differences)."""
    differences = np.array(ours, dtype=float) - np.array(theirs, dtype=float)
    n, mean = len(differences), float(differences.mean())
    if n < 2:
        return Difference(mean=mean, low=None, high=None, n=n)
    half = float(stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / math.sqrt(n))
    return Difference(mean=mean, low=mean - half, high=mean + half, n=n)


def _setting(result: CellResult) -> str:
    cell = result.cell
    return (
        f"{cell.data}, public n {cell.public_n_subjects}, delta {cell.delta:g}, {cell.accountant}, add or remove one "
        f"{cell.unit}, {cell.n_images} synthetic images, public images: {cell.public.split(' sha256')[0]}"
    )


def _section(setting: str, results: Sequence[CellResult]) -> str:
    made = [result for result in results if not result.refused]
    groups = _groups(made)
    shown = [name for name in HEADINGS if any(group.values(name) for group in groups)]
    lines = [f"### {setting}", "", *_head(["row", "epsilon", "runs", *(HEADINGS[name] for name in shown)])]
    lines += [_line([group.row, _epsilon(group), str(len(group.results)), *(_cell(group, name) for name in shown)])
              for group in groups]  # fmt: skip
    refused = dict.fromkeys(f"- `{result.cell.row}`: {result.refused}" for result in results if result.refused)
    lines += ["", "Left out:", "", *refused] if refused else []
    return "\n".join([*lines, "", *_comparisons(groups), *_origin(made)])


def _groups(results: Iterable[CellResult]) -> list[_Group]:
    found: dict[tuple[str, float | None], list[CellResult]] = {}
    for result in results:
        cell = result.cell
        named = f"{cell.row} ({', '.join(cell.settings)})" if cell.settings else cell.row
        found.setdefault((named, cell.epsilon), []).append(result)
    return [_Group(row=row, epsilon=epsilon, results=own) for (row, epsilon), own in found.items()]


def _comparisons(groups: Sequence[_Group]) -> list[str]:
    """The best of ours at each epsilon against every other row, by balanced accuracy and the other paired figures."""
    lines: list[str] = []
    for epsilon in sorted({group.epsilon for group in groups if group.epsilon is not None}):
        ours = [group for group in groups if group.is_ours and group.epsilon == epsilon]
        if not ours:
            continue
        best = max(ours, key=lambda group: group.median("tstr_balanced_accuracy"))
        others = [group for group in groups if not group.is_ours and group.epsilon in {epsilon, None}]
        others = [group for group in others if not group.row.endswith(NONE)]
        figures = [name for name in PAIRED if best.values(name)]
        lines.append(f"Epsilon {epsilon:g}: `{best.row}`, the best of ours here by balanced accuracy, minus each row")
        lines += ["(mean over pairs of split and seed, 95 % t interval):", ""]
        lines += _head(["minus", "pairs", *(HEADINGS[name] for name in figures)])
        lines += [_comparison(best, other, figures) for other in others]
        lines.append("")
    return lines


def _comparison(best: _Group, other: _Group, figures: Sequence[str]) -> str:
    differences = [_paired(best, other, figure) for figure in figures]
    n = differences[0].n if differences[0] else 0
    return _line([other.row, str(n), *(_interval(difference) for difference in differences)])


def _paired(best: _Group, other: _Group, figure: str) -> Difference | None:
    """Pairs of equal split and seed; real images have one run a split."""
    is_real = other.results[0].cell.row == REAL

    def place(result: CellResult) -> tuple[str, int]:
        return result.cell.data_digest, 0 if is_real else result.cell.seed

    theirs = {place(result): result.figures[figure] for result in other.results}
    pairs = [(result.figures[figure], theirs.get(place(result))) for result in best.results]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return paired_difference([a for a, _ in known], [b for _, b in known]) if known else None


def _origin(results: Sequence[CellResult]) -> list[str]:
    def all_of(read: Callable[[CellResult], str]) -> str:
        return "; ".join(dict.fromkeys(word for result in results if (word := read(result))))

    lines = [f"Machine: {all_of(lambda result: result.machine)}. {all_of(lambda result: result.gpu)}".rstrip()]
    dates = sorted(result.measured_at[:10] for result in results)
    lines.append(f"Date: {dates[0]} to {dates[-1]}." if results else "")
    lines += [f"Command: `{command}`" for command in dict.fromkeys(r.command for r in results) if command]
    return [*"\n\n".join(lines).split("\n"), ""]


def _head(words: Sequence[str]) -> list[str]:
    return [_line(words), "|" + "---|" * len(words)]


def _line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"


def _epsilon(group: _Group) -> str:
    row = group.results[0].cell.row
    fixed = {REAL: "-", SIMULATOR: "0"}.get(row, "none")
    return fixed if group.epsilon is None else f"{group.epsilon:g}"


def _cell(group: _Group, figure: str) -> str:
    """Median and range; empty as soon as one run lacks the figure."""
    values = group.values(figure)
    if not values or len(values) < len(group.results):
        return ""
    shown = [value / 2**20 for value in values] if figure == "peak_memory_bytes" else values
    middle = statistics.median(shown)
    if figure in COSTS:
        return f"{middle:.2f}" if "epsilon" in figure else f"{middle:.0f}"
    return f"{middle:.3f}" if len(shown) == 1 else f"{middle:.3f} ({min(shown):.3f} to {max(shown):.3f})"


def _interval(difference: Difference | None) -> str:
    if difference is None:
        return ""
    if difference.low is None:
        return f"{difference.mean:+.3f}"
    return f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
