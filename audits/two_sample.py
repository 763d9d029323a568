"""Do two arms come from one source? A classifier's two-sample test by subject, on features that no leak can move.

A holdout from another scanner or archive is told from the training arm without any leak, and every attack that holds
members against others then reports one. Here the synthetic images play no part: what tells the arms apart is source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audits.jpeg_history import grid_strength
from audits.pixels import Floats, resize
from audits.spectrum import radial_power
from audits.stats import Doubles, rows_by_subject
from generators.data import ImageSet, Strings

N_FOLDS = 5
N_DRAWS = 1999
MAX_SUBJECTS = 2000
# Of the number of people: as strong as the data where a feature's share of the spread is a tenth.
RIDGE = 0.1
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
N_BANDS = 8


@dataclass(frozen=True, kw_only=True)
class TwoSample:
    """auc: of telling left from right, cross-fitted, over subjects; p_value: exact, of "the same source"."""

    auc: float
    p_value: float


def source_features(grey: Floats) -> Doubles:
    """[N, D] of grey images [N, H, W]: 8 x 8 pixels, grey levels, power by band, traces of JPEG and few bits."""
    flat = np.sort(grey.reshape(len(grey), -1), axis=1)
    at = [round(q * (flat.shape[1] - 1)) for q in QUANTILES]
    clipped = np.stack([(flat <= 0).mean(axis=1), (flat >= 1).mean(axis=1)], axis=1)
    levels = np.log1p((np.diff(flat, axis=1) > 0).sum(axis=1))
    rings = radial_power(grey)[:, 1:]
    parts = np.array_split(rings, min(N_BANDS, rings.shape[1]), axis=1)
    bands = [np.log(part.mean(axis=1) + 1e-9) for part in parts]
    small = resize(grey, 8).reshape(len(grey), -1)
    return np.column_stack([small, flat[:, at], clipped, levels, grid_strength(grey), *bands])


def first_people(arm: ImageSet) -> ImageSet:
    """The images of those 2,000 subjects whose means `by_subject` gives."""
    rows = rows_by_subject(arm.subjects())
    return arm if len(rows) <= MAX_SUBJECTS else arm.select(np.concatenate(rows[:MAX_SUBJECTS]))


def by_subject(features: Doubles, subjects: Strings) -> Doubles:
    """[S, D]: the mean of each subject's rows, at most 2,000 subjects."""
    return np.stack([features[rows].mean(axis=0) for rows in rows_by_subject(subjects)[:MAX_SUBJECTS]])


def compare(left: Doubles, right: Doubles, *, seed: int) -> TwoSample:
    """Cross-fitted ridge regression on features [S, D] of subjects; its AUC against `N_DRAWS` new deals of subjects.

    After Lopez-Paz and Oquab 2017, arXiv:1610.06545. Dealing anew keeps the test exact, however folds hang together.
    """
    rng = np.random.default_rng(seed)
    pooled = np.concatenate([left, right])
    weights = _cross_fitted((pooled - pooled.mean(axis=0)) / (pooled.std(axis=0) + 1e-9), rng)
    member = np.arange(len(pooled)) < len(left)
    deals = np.stack([member, *(rng.permutation(member) for _ in range(N_DRAWS))], axis=1)
    found = _aucs(weights @ deals, deals)
    return TwoSample(auc=float(found[0]), p_value=float((found >= found[0]).mean()))


def _cross_fitted(features: Doubles, rng: np.random.Generator) -> Doubles:
    """[S, S]: row i turns the labels of the subjects outside i's fold into i's score."""
    n = len(features)
    weights = np.zeros((n, n))
    for fold in np.array_split(rng.permutation(n), N_FOLDS):
        rest = np.setdiff1d(np.arange(n), fold)
        known = features[rest] - features[rest].mean(axis=0)
        ridge = known.T @ known + RIDGE * len(rest) * np.eye(known.shape[1])
        weights[np.ix_(fold, rest)] = (features[fold] - features[rest].mean(axis=0)) @ np.linalg.solve(ridge, known.T)
    return weights


def _aucs(scores: Doubles, deals: Doubles) -> Doubles:
    """AUC of each column of scores [S, n] for the deal in the same column."""
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, np.argsort(scores, axis=0), np.arange(1, len(scores) + 1)[:, None] * 1.0, axis=0)
    n_left = deals[:, 0].sum()
    return np.asarray(((ranks * deals).sum(axis=0) - n_left * (n_left + 1) / 2) / (n_left * (len(scores) - n_left)))
