"""The test of the whole set equals its definition: each query's nearest person of either side, for every deal."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audits.copies.ranking import Ranked
from audits.copy_detector import margin, margin_p_value
from audits.stats import dealt_p_value


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 30),
    n_people=st.integers(2, 12),
    cut=st.sampled_from([0.0, 0.05, 0.3, 1.0, -0.1, np.inf]),
)
def test_the_p_value_is_that_of_the_definition(seed: int, n: int, n_people: int, cut: float) -> None:
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(2, n_people + 1))
    correlation = -np.sort(-(rng.random((n, depth)).astype(np.float32) ** 0.2), axis=1)
    person = np.stack([rng.permutation(n_people)[:depth] for _ in range(n)]).astype(np.int32)
    ranked = Ranked(best=correlation, nearest=person.astype(np.intp), correlation=correlation, person=person)
    members = rng.random(n_people) < 0.5

    def statistic(dealt: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
        sides = [
            [max((c for c, p in zip(*row, strict=True) if dealt[p] == side), default=row[0][-1]) for side in (1, 0)]
            for row in zip(correlation, person, strict=True)
        ]
        found = margin(*np.array(sides, dtype=np.float32).T)
        return float((found > cut).mean() - (found < -cut).mean())

    expected = dealt_p_value(statistic, members, n_draws=19, seed=seed)
    assert margin_p_value(ranked, members, cut, n_draws=19, seed=seed) == expected
