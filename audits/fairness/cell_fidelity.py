"""Fidelity by group, at equal n: are the synthetic images of one group less like it than those of another?

Coverage rises where few real images are to be covered and density falls with the spread of a group, so no two cells
are compared at different n, and each is read beside what real training images of the same cell reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import ndtri

from audits.base import AuditInput, Measurement, Status
from audits.checks import white_level
from audits.embeddings.choice import choose
from audits.groups.cells import GROUPINGS, MIN_JUDGED, Cells, column_of, groupings_of, missing_column
from audits.pixels import Floats, GreyView
from audits.registry import audit
from audits.sampling import some_of
from audits.stats import Doubles, rows_by_subject
from generators.data import ImageSet, Strings

NEAREST_K = 5
N_DRAWS = 40
MAX_DRAWN = 1000  # people: all distances among them are held
FIGURES = ("density", "coverage")

_report = partial(
    Measurement,
    unit="shortfall against real images, worst group minus best",
    source="Naeem et al. 2020, arXiv:2002.09797; delete-half subsampling, Politis and Romano 1994",
)
METHOD = (
    f"{{figure}} with k = {NEAREST_K} of the synthetic images of each group, and of its training images, against its "
    f"holdout images; in each of {N_DRAWS} draws every cell has the same number of people, half of the smallest cell "
    f"and {MAX_DRAWN} at most, one image each; groups of {MIN_JUDGED} people and more are judged, Bonferroni over "
    "pairs; features: {features}"
)


@dataclass(frozen=True, kw_only=True)
class Shortfall:
    """Of one cell: the mean figure of synthetic and of training images, the mean of their difference, its error."""

    synthetic: float
    real: float
    value: float
    error: float


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """Features [N, D] of an arm, and the rows of each of its people in each group."""

    at: Floats
    people: Mapping[str, list[NDArray[np.intp]]]

    def draw(self, group: str, n: int, rng: np.random.Generator) -> Floats:
        """One image each of `n` people of a group."""
        mine = self.people[group]
        return self.at[[rng.choice(mine[i]) for i in rng.permutation(len(mine))[:n]]]


@audit("cell_fidelity", question="Do synthetic images look as true for every group?")
def cell_fidelity(data: AuditInput) -> list[Measurement]:
    """Differences in density and coverage between groups, by sex, age group, site, and sex with age group."""
    white = white_level(data)
    embedding = choose(data)
    arms = {name: thinned(getattr(data, name), seed=data.seed) for name in ("holdout", "train", "synthetic")}
    at = {name: embedding.of(GreyView(sets=(arm,), white=white)) for name, arm in arms.items()}
    return [m for grouping in groupings_of(data) for m in _measure(arms, at, grouping, embedding.name, seed=data.seed)]


def thinned(arm: ImageSet, *, seed: int) -> ImageSet:
    """The images of at most twice `MAX_DRAWN` people of each cell: a draw takes no more than half of a cell."""
    known = [name for name in GROUPINGS if getattr(arm, name) is not None]
    cells = column_of(arm, "_and_".join(known)) if known else None
    if cells is None or len(arm) <= 2 * MAX_DRAWN:
        return arm
    rows = (np.flatnonzero(cells == name) for name in np.unique(cells))
    return arm.select(np.concatenate([cell[some_of(arm.select(cell), 2 * MAX_DRAWN, seed=seed)] for cell in rows]))


def density_and_coverage(real: Floats, other: Floats) -> tuple[float, float]:
    """As `prdc` gives them for features [N, D] and [M, D], without its cost of a few milliseconds a call."""
    radius = np.sort(cdist(real, real), axis=1)[:, NEAREST_K]
    inside = cdist(real, other) < radius[:, None]
    return float(inside.sum(axis=0).mean() / NEAREST_K), float(inside.any(axis=1).mean())


def _measure(
    arms: Mapping[str, ImageSet], at: Mapping[str, Floats], grouping: str, features: str, *, seed: int
) -> list[Measurement]:
    reports = {
        figure: partial(
            _report, name=f"cell_fidelity.{figure}.{grouping}", method=METHOD.format(figure=figure, features=features)
        )
        for figure in FIGURES
    }
    reason = missing_column(grouping, **arms)
    if reason:
        return [report(status=Status.NOT_ASSESSABLE, reason=reason) for report in reports.values()]
    people = {name: _people(arm, column_of(arm, grouping)) for name, arm in arms.items()}
    names = sorted(set().union(*people.values()))
    cells = Cells.of({group: min(len(arm.get(group, ())) for arm in people.values()) for group in names})
    drawn = {name: _Arm(at=at[name], people=people[name]) for name in arms}
    shown = _shortfalls(drawn, cells.shown, seed=seed)
    judged = shown if cells.shown == cells.judged else _shortfalls(drawn, cells.judged, seed=seed)
    n = {group: min(len(arm[group]) for arm in people.values()) for group in cells.shown}
    return [_gap(partial(reports[figure], n=n), shown[figure], judged[figure], cells) for figure in FIGURES]


def _people(arm: ImageSet, groups: Strings | None) -> dict[str, list[NDArray[np.intp]]]:
    """The rows of each person in each group."""
    assert groups is not None  # noqa: S101 - `missing_column` came first
    rows = {name: np.flatnonzero(groups == name) for name in sorted(set(groups.tolist()) - {""})}
    subjects = arm.subjects()
    return {name: [mine[part] for part in rows_by_subject(subjects[mine])] for name, mine in rows.items()}


def _shortfalls(arms: Mapping[str, _Arm], groups: Sequence[str], *, seed: int) -> Mapping[str, Mapping[str, Shortfall]]:
    """By figure and group, all at the same n."""
    sizes = {group: min(len(arm.people[group]) for arm in arms.values()) for group in groups}
    n = min(MAX_DRAWN, min(sizes.values(), default=0) // 2)
    found: dict[str, dict[str, Shortfall]] = {figure: {} for figure in FIGURES}
    for group in groups:
        rng = np.random.default_rng(seed)
        draws = np.array([_draw(arms, group, n, rng) for _ in range(N_DRAWS)])
        for i, figure in enumerate(FIGURES):
            found[figure][group] = _summary(draws[:, :, i], n, sizes[group])
    return found


def _draw(arms: Mapping[str, _Arm], group: str, n: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Figures of synthetic and of training images of a group, against one draw of its holdout."""
    real = arms["holdout"].draw(group, n, rng)
    return [density_and_coverage(real, arms[name].draw(group, n, rng)) for name in ("synthetic", "train")]


def _summary(draws: Doubles, n_drawn: int, n_people: int) -> Shortfall:
    """draws: [N_DRAWS, 2], synthetic and real. The variance among draws of n from N stands for N in n / (N - n)."""
    missing = draws[:, 1] - draws[:, 0]
    return Shortfall(
        synthetic=float(draws[:, 0].mean()),
        real=float(draws[:, 1].mean()),
        value=float(missing.mean()),
        error=float(missing.std(ddof=1) * np.sqrt(n_drawn / (n_people - n_drawn))),
    )


def _gap(
    report: partial[Measurement], shown: Mapping[str, Shortfall], judged: Mapping[str, Shortfall], cells: Cells
) -> Measurement:
    details: dict[str, object] = {
        "synthetic": {group: cell.synthetic for group, cell in shown.items()},
        "trained_on": {group: cell.real for group, cell in shown.items()},
        "not_shown": list(cells.suppressed),
        "not_judged": cells.not_judged,
    }
    report = partial(report, internal={"suppressed_people": dict(cells.suppressed)})
    if len(judged) < 2:
        return report(status=Status.NO_POWER, reason=cells.cannot_judge(), details=details)
    worst, best = (pick(judged, key=lambda group: judged[group].value) for pick in (max, min))
    value = judged[worst].value - judged[best].value
    n_pairs = len(judged) * (len(judged) - 1)
    reach = float(ndtri(1 - 0.025 / n_pairs) * np.hypot(judged[worst].error, judged[best].error))
    found = f"{worst} falls shorter of its real images than {best}" if value > reach else ""
    return report(
        status=Status.DETECTED if value > reach else Status.NOT_DETECTED,
        reason="; ".join(part for part in (found, cells.note) if part),
        value=value,
        ci_low=value - reach,
        ci_high=value + reach,
        baseline=abs(judged[best].real - judged[worst].real),
        details=details | {"best": best, "worst": worst},
    )
