"""Guesses about real people that rare synthetic rows suggest, and how many of them are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.metadata.risk import Mask
from audits.metadata.tables import People
from audits.stats import clopper_pearson
from generators.data import Strings

Columns = tuple[int, ...]

_NOBODY = np.array([], dtype=np.intp)


@dataclass(frozen=True, kw_only=True)
class Guesses:
    """Guesses against people: which guess fits which person [K], [K], of `n_guesses` guesses."""

    guess: NDArray[np.intp]
    person: NDArray[np.intp]
    n_guesses: int

    def counts(self, who: Mask) -> NDArray[np.intp]:
        """[n_guesses]: how many of these people each guess fits."""
        return np.bincount(self.guess[who[self.person]], minlength=self.n_guesses)

    def n_right(self, who: Mask) -> int:
        """Guesses that fit exactly one of these people."""
        return int((self.counts(who) == 1).sum())


@dataclass(frozen=True, kw_only=True)
class Excess:
    """Right guesses beyond chance, of `n_attacks`.

    n_right: guesses that fit one member alone. n_in_place: guesses that would fit an unseen person alone, who took a
    member's place; scale: members an unseen person. Where nothing leaked, both are expected to be equal at any sizes.
    """

    n_right: int
    n_in_place: int
    n_attacks: int
    scale: float

    @classmethod
    def of(cls, guesses: Guesses, n_members: int, n_people: int, alone: int) -> Excess:
        """Of guesses against `n_people`, the members first; `alone`: members who are alone with their words."""
        members = np.arange(n_people) < n_members
        in_place = guesses.counts(~members)[guesses.counts(members) == 0]
        return cls(
            n_right=guesses.n_right(members),
            n_in_place=int(in_place.sum()),
            n_attacks=max(guesses.n_guesses, alone),
            scale=n_members / (n_people - n_members),
        )

    @property
    def baseline(self) -> float:
        return self.scale * self.n_in_place / self.n_attacks

    @property
    def value(self) -> float:
        return self.n_right / self.n_attacks - self.baseline

    @property
    def interval(self) -> tuple[float, float]:
        """At 95 %, by squaring and adding the exact limits of both rates (Newcombe 1998, method 10)."""
        rate = self.n_right / self.n_attacks
        low, high = clopper_pearson(self.n_right, self.n_attacks)
        base = clopper_pearson(min(self.n_in_place, self.n_attacks), self.n_attacks)
        base_low, base_high = (self.scale * limit for limit in base)
        below = np.hypot(rate - low, max(0.0, base_high - self.baseline))
        above = np.hypot(high - rate, max(0.0, self.baseline - base_low))
        return max(-1.0, self.value - float(below)), min(1.0, self.value + float(above))


def rare_cells(words: Strings, columns: Columns, *, at_most: int) -> list[tuple[str, ...]]:
    """Combinations of words in these columns that at most `at_most` rows [N, C] bear."""
    cells, counts = np.unique(words[:, columns], axis=0, return_counts=True)
    return [tuple(cell.tolist()) for cell in cells[counts <= at_most]]


def guesses_on(people: People, words: Strings, combinations: Sequence[Columns], *, n_people: int) -> Guesses:
    """The guesses that synthetic rows [N, C] suggest about a group of `n_people`, held against `people`."""
    at_most = max(1, len(words) // n_people)
    fits = [
        np.unique(people.person[(people.words[:, columns] == np.array(cell)).all(axis=1)])
        for columns in combinations
        for cell in rare_cells(words, columns, at_most=at_most)
    ]
    numbers = np.repeat(np.arange(len(fits)), [len(who) for who in fits])
    return Guesses(guess=numbers, person=np.concatenate([_NOBODY, *fits]), n_guesses=len(fits))


def n_alone(people: People, combinations: Sequence[Columns]) -> int:
    """Combinations of words that exactly one of these people bears."""
    everybody = guesses_on(people, people.words, combinations, n_people=1)
    return everybody.n_right(np.ones(people.n_people, dtype=bool))
