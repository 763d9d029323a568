"""Does the trainer draw subjects as its accountant assumes: each by its own coin of the claimed rate, anew each step?

Three tests on who took part in which step, each exact up to the draws of its null distribution: the share of all
places taken (a wrong rate), the spread of the sizes of batches (fixed batches, as shuffling has them) and the spread of
how often each subject came (once an epoch, as shuffling has it).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.05
FAULT = 1.25
N_DRAWS = 9_999
MOST_AT_ONCE = 2_000_000


@dataclass(frozen=True, kw_only=True)
class SamplerTest:
    """p-values, two-sided, of "Poisson sampling at the claimed rate".

    found: how often the first of them finds a rate a quarter above the claim (a fifth below, where that passes 1).
    """

    n_subjects: int
    n_steps: int
    n_drawn: int
    inclusion: float
    batch_spread: float
    subject_spread: float
    found: float

    @property
    def p_value(self) -> float:
        """Of all three together (Bonferroni)."""
        return min(1.0, 3 * min(self.inclusion, self.batch_spread, self.subject_spread))

    @property
    def worst(self) -> str:
        """In words, what the smallest p-value speaks of."""
        found = {
            "how many are drawn": self.inclusion,
            "how much batches vary": self.batch_spread,
            "how often each subject comes": self.subject_spread,
        }
        return min(found, key=lambda name: found[name])


def sampler_test(drawn: NDArray[np.bool_], rate: float, *, seed: int) -> SamplerTest:
    """drawn [T, N]: whether subject n took part in step t."""
    n_steps, n_subjects = drawn.shape
    rng = np.random.default_rng(seed)
    total = int(drawn.sum())
    return SamplerTest(
        n_subjects=n_subjects,
        n_steps=n_steps,
        n_drawn=total,
        inclusion=float(stats.binomtest(total, drawn.size, rate).pvalue),
        batch_spread=_spread(drawn.sum(axis=1), n_subjects, rate, rng),
        subject_spread=_spread(drawn.sum(axis=0), n_steps, rate, rng),
        found=_found(drawn.size, rate),
    )


def _found(n: int, rate: float) -> float:
    tail = LEVEL / 6
    low, high = stats.binom.ppf(tail, n, rate), stats.binom.isf(tail, n, rate)
    wrong = rate * FAULT if rate * FAULT <= 1 else rate / FAULT
    return float(stats.binom.cdf(low - 1, n, wrong) + stats.binom.sf(high, n, wrong))


def _spread(counts: NDArray[np.intp], n: int, rate: float, rng: np.random.Generator) -> float:
    """Two-sided p-value of the squared distance of counts from n x rate, each being Binomial(n, rate) by chance.

    Compared with draws of the same, so that it is exact whatever n and rate are (Barnard 1963).
    """
    if rate >= 1:
        return 1.0 if bool((counts == n).all()) else 1 / (N_DRAWS + 1)
    # The distance from their own mean: a wrong rate is the business of another test.
    own = float(np.var(counts))
    drawn = np.concatenate([np.var(part, axis=1) for part in _chance(len(counts), n, rate, rng)])
    below, above = (1 + (drawn <= own).sum()) / (len(drawn) + 1), (1 + (drawn >= own).sum()) / (len(drawn) + 1)
    return float(min(1.0, 2 * min(below, above)))


def _chance(size: int, n: int, rate: float, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """N_DRAWS rows of such counts, a part at a time."""
    rows = max(1, MOST_AT_ONCE // size)
    for start in range(0, N_DRAWS, rows):
        yield rng.binomial(n, rate, (min(rows, N_DRAWS - start), size))
