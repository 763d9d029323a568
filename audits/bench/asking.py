"""What a comparison was asked for, turned into the cells of each split before any work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audits.base import AuditError
from audits.bench.cells import NONE, REAL, SIMULATOR, Cell
from audits.bench.datasets import PHANTOMS, Cohort, Wish, load_cohort
from audits.bench.rows import all_rows, check_row
from audits.bench.running import Work, open_bench
from audits.checks import MIN_SUBJECTS
from generators.data import ImageSet
from generators.tables import read_public, resize_images


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Of every split alike: which rows in which settings, at which epsilons, how often, with how many images drawn.

    public: a file, `phantoms`, or None for the cohort's own. public_n: the declared bound on training subjects, or None
    where the cohort is public. Raises AuditError.
    """

    data: str
    rows: Sequence[str]
    settings: Mapping[str, tuple[str, ...]]
    epsilons: Sequence[float]
    n_seeds: int
    n_images: int
    public: str | None
    public_n: int | None
    delta: float
    accountant: str
    device: str

    def __post_init__(self) -> None:
        if self.n_seeds < 1:
            raise AuditError(f"is {self.n_seeds}", where="seeds", remedy="ask for at least 1")
        if self.n_images < MIN_SUBJECTS:
            raise AuditError(f"is {self.n_images}", where="n", remedy=f"draw at least {MIN_SUBJECTS} images")

    def work(self, wish: Wish) -> Work:
        """The cells of one split, with its bench. Raises AuditError or GeneratorError."""
        cohort = load_cohort(self.data, wish)
        shown, name = public_images(cohort, self.public)
        cells = plan_cells(
            self._real(cohort, wish, name),
            rows=self.rows,
            epsilons=self.epsilons,
            n_seeds=self.n_seeds,
            settings={row: merged_settings(cohort, row, self.settings.get(row, ())) for row in self.rows},
        )
        return Work(cells=cells, bench=open_bench(cohort, public=shown, device=self.device))

    def _real(self, cohort: Cohort, wish: Wish, public: str) -> Cell:
        """The row of real images, from which the others differ in few words."""
        return Cell(
            data=Path(self.data).name,
            data_digest=cohort.images.digest,
            row=REAL,
            unit=cohort.unit,
            epsilon=None,
            delta=self.delta,
            accountant=self.accountant,
            public_n_subjects=_public_n(self.public_n, cohort),
            n_images=self.n_images,
            seed=0,
            split_seed=wish.split_seed,
            public=public,
        )


def wanted_rows(named: Sequence[str] | None, settings: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The rows that were named, once each, or all. Raises AuditError for a row or a setting that nobody knows."""
    wanted = list(dict.fromkeys(named)) if named else all_rows(settings)
    for row in dict.fromkeys([*wanted, *settings]):
        check_row(row, settings.get(row, ()))
    return wanted


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
