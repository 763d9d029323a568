"""`steps.log`: what a run has spent, on disk before the noise that it pays for is drawn.

JSON lines, each synced before the call returns. A line that cannot be read (a write torn by a power cut) counts as
one step at the dearest price of the plan: after any accident the log never says less than what was drawn.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from generators.accounting import merge_events, spend_of
from generators.base import GeneratorError, ResumeError, SpendRecorder
from generators.privacy import GaussianEvent, PrivacySpend, StepRecord

FILE = "steps.log"


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """What stands in a log. planned: the last reservation. n_torn: lines that could not be read.

    by_phase: readable steps of each phase.
    """

    planned: PrivacySpend
    events: tuple[GaussianEvent, ...]
    n_steps: int
    n_torn: int
    settled: bool
    by_phase: Mapping[str, int]

    def steps_of(self, phase: str) -> int:
        """Steps of that phase at most: a line that cannot be read may have been one of them."""
        return self.by_phase.get(phase, 0) + self.n_torn


class StepsLog:
    """The recorder of a generator folder (a `SpendRecorder`)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def reserve(self, planned: PrivacySpend) -> None:
        """Record the whole plan of the folder so far, attempts that failed included; the last one holds."""
        self._append({"kind": "reserve", **asdict(planned)})

    def step(self, record: StepRecord) -> None:
        self._append({"kind": "step", **asdict(record)})

    def settle(self, spent: PrivacySpend) -> None:
        self._append({"kind": "settle", **asdict(spent)})

    def _append(self, row: Mapping[str, object]) -> None:
        try:
            with self._path.open("ab+") as stream:
                if stream.tell():
                    stream.seek(-1, os.SEEK_END)
                    if stream.read(1) != b"\n":
                        stream.write(b"\n")  # a torn line stays, on its own, to be counted
                stream.write(json.dumps(row).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise GeneratorError(
                "cannot be written", where=str(self._path), remedy="choose a writable folder"
            ) from error


@dataclass(frozen=True)
class Recorders:
    """Several recorders as one: each has the record on disk before the next is told, all before noise is drawn."""

    recorders: Sequence[SpendRecorder] = field(default_factory=tuple)

    def reserve(self, planned: PrivacySpend) -> None:
        for recorder in self.recorders:
            recorder.reserve(planned)

    def step(self, record: StepRecord) -> None:
        for recorder in self.recorders:
            recorder.step(record)

    def settle(self, spent: PrivacySpend) -> None:
        for recorder in self.recorders:
            recorder.settle(spent)


def read_log(folder: Path) -> LoggedRun | None:
    """The log of a folder; None where no run was ever reserved. Raises ResumeError for steps without a plan."""
    path = folder / FILE
    if not path.exists():
        return None
    rows = [_row(line) for line in path.read_bytes().splitlines()]
    plans = [_spend(row) for row in rows if row is not None and row["kind"] == "reserve"]
    n_torn = rows.count(None)
    steps = [row for row in rows if row is not None and row["kind"] == "step"]
    if not plans:
        if not steps:
            return None  # the reservation itself was torn: no step can have followed it
        raise ResumeError("steps without a reservation", where=str(path), remedy="treat the whole budget as spent")
    events = [
        GaussianEvent(
            noise_multiplier=_number(row, "noise_multiplier"), sample_rate=_number(row, "sample_rate"), steps=1
        )
        for row in steps
    ]
    dearest = _dearest([event for plan in plans for event in plan.events], n_torn)
    return LoggedRun(
        planned=plans[-1],
        events=merge_events([*events, *dearest]),
        n_steps=len(steps) + n_torn,
        n_torn=n_torn,
        settled=any(row is not None and row["kind"] == "settle" for row in rows),
        by_phase=Counter(str(row["phase"]) for row in steps),
    )


def spent_from_log(folder: Path) -> PrivacySpend:
    """What the folder's runs spent at most, killed ones included, by the plan's accountant and delta."""
    run = read_log(folder)
    if run is None:
        raise ResumeError("holds no log of steps", where=str(folder), remedy="name a generator folder")
    plan = run.planned
    return spend_of(run.events, delta=plan.delta, accountant=plan.accountant, privacy_unit=plan.privacy_unit)


def _dearest(planned: Sequence[GaussianEvent], n: int) -> list[GaussianEvent]:
    if not n or not planned:
        return []
    noise = min(event.noise_multiplier for event in planned)
    return [GaussianEvent(noise_multiplier=noise, sample_rate=max(event.sample_rate for event in planned), steps=n)]


def _row(line: bytes) -> dict[str, object] | None:
    try:
        row = json.loads(line)
        if row["kind"] == "step":
            _number(row, "noise_multiplier"), _number(row, "sample_rate"), row["phase"]
        elif row["kind"] == "reserve":
            _spend(row)
        elif row["kind"] != "settle":
            return None
    except (ValueError, KeyError, TypeError):
        return None
    return dict(row)


def _number(row: Mapping[str, object], name: str) -> float:
    return float(str(row[name]))


def _spend(row: Mapping[str, object]) -> PrivacySpend:
    values = {name: value for name, value in row.items() if name not in {"kind", "events"}}
    events = tuple(GaussianEvent(**event) for event in row["events"])  # type: ignore[attr-defined]  # JSON
    return PrivacySpend(**values, events=events)  # type: ignore[arg-type]  # JSON
