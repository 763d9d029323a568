"""What was measured, packaged: `record.json`, and what it lets a plan expect.

The file holds {"veilmark/benchmark-record/1": [row, ...], "machine", "date", "command"}; a row is one generator on one
set at one epsilon, means over seeds. Only sets that are public, or were published with their figures, belong there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from generators.base import DataError

RECORD = "record.json"
SCHEMA = "veilmark/benchmark-record/1"
# How far from a measured point an expectation may be read, as a factor: of n x epsilon, and of the side.
REACH = 3.0
SIZE_REACH = 2.0


@dataclass(frozen=True, kw_only=True)
class RecordRow:
    """One measured point.

    data: name of the set. n_subjects: trained on. size: pixels a side. row: the generator. accuracy_ratio: balanced
    accuracy trained on synthetic over that trained on real images; auc_difference: AUC, synthetic minus real; both on
    real held-out images. seconds: training and sampling, on `device`. settings: other than the generator's defaults.
    """

    data: str
    n_subjects: int
    size: int
    epsilon: float
    row: str
    accuracy_ratio: float | None = None
    auc_difference: float | None = None
    seconds: float | None = None
    device: str = "cpu"
    settings: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.n_subjects > 0 and self.size > 0 and self.epsilon > 0 and (self.seconds or 1) > 0):
            raise ValueError("numbers of a row are above 0")


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Figures read from a record. source: the set and the point or points that they were measured at."""

    accuracy_ratio: float | None
    auc_difference: float | None
    seconds: float | None
    settings: Mapping[str, object]
    source: str

    @property
    def quality(self) -> float:
        """To compare generators by: the share of the balanced accuracy, where unmeasured 1 plus the AUC difference."""
        if self.accuracy_ratio is not None:
            return self.accuracy_ratio
        return -math.inf if self.auc_difference is None else 1 + self.auc_difference


def load_record(path: Path | None = None) -> list[RecordRow]:
    """The rows of the record that ships, or of another. Raises DataError."""
    source = files("generators.plans").joinpath(RECORD) if path is None else path
    try:
        rows = json.loads(source.read_text(encoding="utf-8"))[SCHEMA]
        return [RecordRow(**row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("no readable benchmark record", where=str(source), remedy="install again") from error


def expectation_of(
    rows: Sequence[RecordRow], *, row: str, n_subjects: int, epsilon: float, size: int, device: str
) -> Expectation | None:
    """What generator `row` does at this size and budget, by the nearest measured set; None where none is near.

    Along log(n x epsilon), which noise depends on, linearly between the two nearest points of that set, and as at the
    nearest point up to a factor REACH beyond them. Seconds are scaled with the number of pixels.
    """
    place = math.log(n_subjects * epsilon)
    of_sets: dict[tuple[str, int], list[RecordRow]] = {}
    for found in rows:
        if (found.row, found.device) == (row, device):
            of_sets.setdefault((found.data, found.size), []).append(found)
    near = [line for line in of_sets.values() if _is_near(line, place, size)]
    if not near:
        return None
    distances = [_distance(line, place, size) for line in near]
    line = sorted(near[distances.index(min(distances))], key=_place)
    best = min(line, key=lambda found: abs(_place(found) - place))
    below = [found for found in line if _place(found) <= place] or line[:1]
    above = [found for found in line if _place(found) >= place] or line[-1:]
    low, high = below[-1], above[0]
    gap = _place(high) - _place(low)
    share = (place - _place(low)) / gap if gap else 0.0
    seconds = _between(low.seconds, high.seconds, share)
    return Expectation(
        accuracy_ratio=_between(low.accuracy_ratio, high.accuracy_ratio, share),
        auc_difference=_between(low.auc_difference, high.auc_difference, share),
        seconds=None if seconds is None else seconds * (size / best.size) ** 2,
        settings=best.settings,
        source=_source(low, high),
    )


def _place(row: RecordRow) -> float:
    return math.log(row.n_subjects * row.epsilon)


def _is_near(line: Sequence[RecordRow], place: float, size: int) -> bool:
    places = [_place(row) for row in line]
    reached = min(places) - math.log(REACH) <= place <= max(places) + math.log(REACH)
    return reached and abs(math.log(line[0].size / size)) <= math.log(SIZE_REACH) + 1e-9


def _distance(line: Sequence[RecordRow], place: float, size: int) -> float:
    return abs(math.log(line[0].size / size)) + min(abs(_place(row) - place) for row in line)


def _between(low: float | None, high: float | None, share: float) -> float | None:
    if low is None or high is None:
        return low if high is None else high
    return low + share * (high - low)


def _source(low: RecordRow, high: RecordRow) -> str:
    points = [low] if low == high else [low, high]
    told = " and ".join(f"{point.n_subjects} subjects at epsilon {point.epsilon:g}" for point in points)
    return f"{low.data} ({low.size} px, {told}, {low.device})"
