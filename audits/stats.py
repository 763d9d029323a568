"""Intervals and tests. Every resampling is by subject: images of one person are not independent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

Doubles = NDArray[np.float64]
Interval = tuple[float, float]
Z95 = 1.959964  # the normal deviate of a two-sided 95 % interval


def clopper_pearson(k: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Exact interval of a proportion, k of n (Clopper and Pearson 1934)."""
    tail = (1 - confidence) / 2
    low = float(special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(special.betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return low, high


def excess_rate(
    k: int, n: int, k_baseline: int, n_baseline: int, *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Difference of two proportions and its interval, by squaring and adding the exact limits of each.

    Newcombe 1998, Statistics in Medicine 17:873, method 10, with Clopper-Pearson limits in place of Wilson's: neither
    the baseline's uncertainty nor that of the rate itself is forgotten.
    """
    rate, base = k / n, k_baseline / n_baseline
    low, high = clopper_pearson(k, n, confidence=confidence)
    base_low, base_high = clopper_pearson(k_baseline, n_baseline, confidence=confidence)
    below, above = np.hypot(rate - low, base_high - base), np.hypot(high - rate, base - base_low)
    return rate - base, float(rate - base - below), float(rate - base + above)


def auc(positive: Doubles, negative: Doubles) -> float:
    """P(positive > negative), ties counted half: the area under the ROC curve."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left") + np.searchsorted(ordered, positive, side="right")
    return float(below.sum() / (2 * len(positive) * len(negative)))


def auc_interval(value: float, n_positive: int, n_negative: int, *, confidence: float = 0.95) -> Interval:
    """Score interval of an AUC (Newcombe 2006, Statistics in Medicine 25:559, method 5).

    Unlike a Wald or DeLong interval it keeps a width when the observed AUC is 0 or 1.
    """
    z = float(special.ndtri(0.5 + confidence / 2))
    pairs, extra = n_positive * n_negative, (n_positive + n_negative) / 2 - 1

    def excess(theta: float) -> float:
        spread = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (value - theta) ** 2 - z * z * theta * (1 - theta) * spread / pairs

    # At 0 and 1 the value is itself a root, and not the one wanted: stop just short of it.
    inside = min(max(value, 1e-9), 1 - 1e-9)
    return _root(excess, outside=0.0, inside=inside), _root(excess, outside=1.0, inside=inside)


def n_above_rate(scores: Doubles, others: Doubles, rate: float) -> int:
    """How many scores lie above the one that this share of the others exceeds: found at that rate of false alarms."""
    cut = np.sort(others)[::-1][int(len(others) * rate)]
    return int((scores > cut).sum())


def auc_p_value(value: float, n_positive: int, n_negative: int) -> float:
    """One-sided p-value of "AUC is .5 or less", the score test that `auc_interval` inverts.

    Below .025 exactly where the 95 % interval lies above .5.
    """
    extra = (n_positive + n_negative) / 2 - 1
    variance = 0.25 * (1 + 2 * extra / 3) / (n_positive * n_negative)
    return float(special.ndtr((0.5 - value) / np.sqrt(variance)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for the size of their family, in the order given (Holm 1979, Scand. J. Statist. 6:65).

    To accuse where an adjusted value is at most alpha accuses an innocent family with chance at most alpha, however
    its members hang together.
    """
    order = np.argsort(p_values, kind="stable")
    raised = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(raised))
    return [float(value) for value in adjusted]


def dealt_p_value(
    statistic: Callable[[NDArray[np.bool_]], float], members: NDArray[np.bool_], *, n_draws: int, seed: int
) -> float:
    """P-value of "it does not matter who was trained on", exact: under it the names of members are a mere deal.

    members: [n_people], who was trained on. statistic: of such a mask; larger is more of a leak. It is set against
    `n_draws` new deals of the same names (Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39).
    """
    rng = np.random.default_rng(seed)
    observed = statistic(members) - 1e-12  # equal deals may differ in the last bit of a sum
    return (1 + sum(statistic(rng.permutation(members)) >= observed for _ in range(n_draws))) / (n_draws + 1)


def _root(excess: Callable[[float], float], *, outside: float, inside: float) -> float:
    """Where `excess` changes sign between a point where it is positive and one where it is not, by bisection."""
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excess(middle) > 0 else (outside, middle)
    return outside


def resampled_subjects(subjects: NDArray[np.str_], *, n_draws: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Row indices of `n_draws` bootstrap draws of whole subjects (Efron and Tibshirani 1993, chapter 6)."""
    rows = rows_by_subject(subjects)
    rng = np.random.default_rng(seed)
    for _ in range(n_draws):
        yield np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])


def rows_by_subject(subjects: NDArray[np.str_]) -> list[NDArray[np.intp]]:
    """The rows of each subject, in the order of the sorted names."""
    _, inverse, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    return np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])


def percentile_interval(draws: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Bootstrap percentile interval of the finite draws; (nan, nan) without any."""
    finite = np.asarray(draws, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def half_sample_errors(
    figure: Callable[[NDArray[np.intp], NDArray[np.intp]], dict[str, float]],
    left: NDArray[np.str_],
    right: NDArray[np.str_],
    *,
    n_draws: int,
    seed: int,
    kept: float = 0.5,
) -> dict[str, float]:
    """Standard errors of nearest-neighbour figures by the jackknife that leaves many out (Shao and Wu 1989).

    A bootstrap repeats images, and repeated images have distance 0: it would ruin every figure made of neighbours.
    figure: called with row indices of both arms, gives named numbers. left, right: the subject of each row. kept: the
    share of subjects that a draw keeps, half of them unless told; a figure that depends on n itself wants more.
    """
    rng = np.random.default_rng(seed)
    arms = (rows_by_subject(left), rows_by_subject(right))
    draws = [figure(*(_share(rows, kept, rng) for rows in arms)) for _ in range(n_draws)]
    scale = np.sqrt(kept / (1 - kept))
    return {name: float(scale * np.std([draw[name] for draw in draws], ddof=1)) for name in draws[0]}


def _share(rows: list[NDArray[np.intp]], kept: float, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.concatenate([rows[i] for i in rng.permutation(len(rows))[: max(1, int(kept * len(rows)))]])
