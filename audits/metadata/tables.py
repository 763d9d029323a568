"""Tables of words: the columns that a synthetic set releases, and the same columns of real people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditInput
from audits.checks import unseen_arms
from generators.data import ImageSet, Strings

COLUMNS = ("label", "sex", "age_group", "site")


@dataclass(frozen=True, kw_only=True)
class People:
    """What is written of real people.

    words: [N, C], each different row of a person once; person: [N], whose row it is, from 0 to n_people - 1.
    """

    words: Strings
    person: NDArray[np.intp]
    n_people: int

    @classmethod
    def of(cls, arm: ImageSet, columns: Sequence[str]) -> People:
        """The people of an arm. Someone with several images may have several rows."""
        names, person = np.unique(arm.subjects(), return_inverse=True)
        coded = np.column_stack([person.astype(str), words_of(arm, columns)])
        rows = np.unique(coded, axis=0)
        return cls(words=rows[:, 1:], person=rows[:, 0].astype(np.intp), n_people=len(names))

    def beside(self, other: People) -> People:
        """These people and then the others, as one table."""
        return People(
            words=np.concatenate([self.words, other.words]),
            person=np.concatenate([self.person, other.person + self.n_people]),
            n_people=self.n_people + other.n_people,
        )

    def cell_sizes(self) -> dict[tuple[str, ...], int]:
        """How many people each combination of words has."""
        cells, counts = np.unique(self.words, axis=0, return_counts=True)
        return {tuple(cell.tolist()): int(count) for cell, count in zip(cells, counts, strict=True)}


@dataclass(frozen=True, kw_only=True)
class Release:
    """A synthetic set's words [N, C] beside those of the people it was learned from and of people it never saw."""

    columns: tuple[str, ...]
    synthetic: Strings
    train: People
    others: People
    control: People

    @property
    def unseen(self) -> People:
        """Both unseen arms."""
        return self.others.beside(self.control)

    @property
    def sizes(self) -> Mapping[str, int]:
        """People of each arm, and synthetic rows."""
        return {
            "train": self.train.n_people,
            "unseen": self.unseen.n_people,
            "synthetic_images": len(self.synthetic),
        }


def release_of(data: AuditInput) -> Release | None:
    """The released columns that every arm has and that say anything; None where the synthetic set has none."""
    columns = released_columns(data)
    if not columns:
        return None
    others, control = unseen_arms(data)
    return Release(
        columns=columns,
        synthetic=words_of(data.synthetic, columns),
        train=People.of(data.train, columns),
        others=People.of(others, columns),
        control=People.of(control, columns),
    )


def released_columns(data: AuditInput) -> tuple[str, ...]:
    """Columns that the synthetic set and every real arm carry, with more than one word in the synthetic set."""
    arms = [arm for arm in (data.synthetic, data.train, data.holdout, data.control) if arm is not None]
    carried = (name for name in COLUMNS if all(getattr(arm, name) is not None for arm in arms))
    return tuple(name for name in carried if len(np.unique(getattr(data.synthetic, name))) > 1)


def words_of(arm: ImageSet, columns: Sequence[str]) -> Strings:
    """[N, C]: the named columns of an arm, which has them all."""
    return np.stack([np.asarray(getattr(arm, name), dtype=np.str_) for name in columns], axis=1)
