"""How the conditions of an image become the design vector that its statistics are gathered by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.conditions import Vocabulary
from generators.latent.basis import Array


@dataclass(frozen=True, kw_only=True)
class Design:
    """How conditions become design vectors: p = labels + sex + age groups entries."""

    vocabulary: Vocabulary
    group_weight: float

    @property
    def n_labels(self) -> int:
        return len(self.vocabulary.labels)

    @property
    def size(self) -> int:
        return self.n_labels + bool(self.vocabulary.sexes) + len(self.vocabulary.age_groups)

    @property
    def norm(self) -> float:
        """The bound X on the norm of a design vector."""
        n_groups = bool(self.vocabulary.sexes) + bool(self.vocabulary.age_groups)
        return math.sqrt(1 + n_groups * self.group_weight**2)

    def rows(self, numbers: NDArray[np.intp]) -> Array:
        """Design vectors [N, p] of `Vocabulary.numbers`."""
        n_labels, has_sex = len(self.vocabulary.labels), bool(self.vocabulary.sexes)
        rows = np.zeros((len(numbers), self.size))
        index = np.arange(len(numbers))
        rows[index, numbers[:, 0]] = 1.0
        if has_sex:
            rows[:, n_labels] = self.group_weight * np.choose(numbers[:, 1] + 1, (0.0, 1.0, -1.0))
        known = numbers[:, 2] >= 0
        rows[index[known], n_labels + has_sex + numbers[known, 2]] = self.group_weight
        return rows

    def may_meet(self) -> NDArray[np.bool_]:
        """[p, p]: whether two entries can both be non-zero in one image; the rest of A is 0 and publicly so."""
        block = np.array(
            [0] * len(self.vocabulary.labels)
            + [1] * bool(self.vocabulary.sexes)
            + [2] * len(self.vocabulary.age_groups)
        )
        return np.asarray((block[:, None] != block[None, :]) | np.eye(self.size, dtype=bool))
