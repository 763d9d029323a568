"""The rarest label of a cohort, and the rarest label by sex by age group, among those a generator can be asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from generators.base import CellCount, GeneratorCard
from generators.data import ImageSet

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """People who share a label and, where those are not empty, a sex and an age group."""

    label: str
    sex: str = ""
    age_group: str = ""

    def rows(self, images: ImageSet) -> Mask:
        """[N]: which images show somebody of this cell; none where a column that it needs is missing."""
        chosen = np.ones(len(images), dtype=bool)
        for name, word in self.words().items():
            column = getattr(images, name)
            chosen &= np.zeros(len(images), dtype=bool) if column is None else column == word
        return chosen

    def words(self) -> dict[str, str]:
        """The words that are not empty, by column."""
        return {name: word for name, word in asdict(self).items() if word}

    def ordered(self, n: int) -> CellCount:
        """An order of so many images of this cell."""
        return CellCount(label=self.label, sex=self.sex, age_group=self.age_group, n=n)


def rarest_label(train: ImageSet, card: GeneratorCard) -> Cell | None:
    """The label with the fewest training people, and at least one; None where images or generator have no labels."""
    if train.label is None:
        return None
    return _rarest(train, [Cell(label=label) for label in card.labels if label])


def rarest_cell(train: ImageSet, card: GeneratorCard) -> Cell | None:
    """Likewise of label, sex and age group together; None where images or generator lack one of them."""
    if train.label is None or train.sex is None or train.age_group is None:
        return None
    cells = (
        Cell(label=label, sex=sex, age_group=age)
        for label in card.labels
        for sex in card.sexes
        for age in card.age_groups
    )
    return _rarest(train, [cell for cell in cells if cell.label and cell.sex and cell.age_group])


def _rarest(train: ImageSet, cells: list[Cell]) -> Cell | None:
    """The cell of fewest people, the first of those that are equal."""
    subjects = train.subjects()
    n_people = {cell: len(np.unique(subjects[cell.rows(train)])) for cell in cells}
    return min((cell for cell in cells if n_people[cell]), key=lambda cell: n_people[cell], default=None)
