"""The curve itself: what the judge learns from each mixture, and how it differs from what real images teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audits.judges import Lesson, predict
from audits.mixing.shares import halves_of, parts_of, with_every_label_wrong
from audits.stats import Doubles, auc, resampled_subjects

N_DRAWS = 1000
SPECIFICITY = 0.9
REAL = "real alone"
WRONG = "every label wrong"
HALF, HALF_AND_MADE = "half of the real", "half of the real and as many synthetic images"
HALF_SHARE = "50 %"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Figures on the holdout of every mixture: [K + 1], the AUC of each label against the rest, and the sensitivity.

    arms: figures by mixture; draws: the same on resampled people [n_draws, K + 1], but for the mixtures with half of
    the real people. shares: the mixtures that are points of the curve, smallest first.
    """

    arms: Mapping[str, Doubles]
    draws: Mapping[str, Doubles]
    shares: Sequence[str]

    def difference(self, arm: str, columns: slice) -> tuple[float, Doubles]:
        """What `arm` has more than real images alone, on average over the columns, and the same in each draw."""
        return self.gain(arm, REAL, columns), (self.draws[arm] - self.draws[REAL])[:, columns].mean(axis=1)

    def gain(self, arm: str, base: str, columns: slice) -> float:
        """What `arm` has more than `base`, on average over the columns."""
        return float((self.arms[arm] - self.arms[base])[columns].mean())


def trace(real: Lesson, made: Lesson, test: Lesson, *, n_labels: int, rarest: int, seed: int) -> Curve:
    """Teach the judge every mixture and test it on the same people. rarest: the class whose sensitivity is measured."""
    parts = parts_of(made, len(real), seed=seed)
    scores = {
        name: predict(mixture, test, seed=seed)
        for name, mixture in _mixtures(real, parts, n_labels=n_labels, seed=seed).items()
    }
    drawn = list(resampled_subjects(test.subjects, n_draws=N_DRAWS, seed=seed))

    def figures(name: str, rows: NDArray[np.intp] | slice) -> Doubles:
        return _figures(test.classes[rows], scores[name][rows], n_labels, rarest)

    return Curve(
        arms={name: figures(name, slice(None)) for name in scores},
        draws={name: np.stack([figures(name, rows) for rows in drawn]) for name in (REAL, WRONG, *parts)},
        shares=list(parts),
    )


def _mixtures(real: Lesson, parts: Mapping[str, Lesson], *, n_labels: int, seed: int) -> dict[str, Lesson]:
    """Points of the curve, and what they are read beside: labels that are wrong, and half of the real people."""
    half, _ = halves_of(real, seed=seed)
    largest = list(parts.values())[-1]
    found = {REAL: real, WRONG: real.joined(with_every_label_wrong(largest, n_labels=n_labels)), HALF: half}
    if HALF_SHARE in parts:
        found[HALF_AND_MADE] = half.joined(parts[HALF_SHARE])
    return found | {share: real.joined(part) for share, part in parts.items()}


def _figures(truth: NDArray[np.intp], scores: Doubles, n_labels: int, rarest: int) -> Doubles:
    """nan where a label is absent or alone."""
    found = np.full(n_labels + 1, np.nan)
    for label in range(n_labels):
        mine = truth == label
        if 0 < mine.sum() < len(mine):
            found[label] = auc(scores[mine, label], scores[~mine, label])
    found[-1] = _sensitivity(scores[:, rarest], truth == rarest)
    return found


def _sensitivity(scores: Doubles, mine: NDArray[np.bool_]) -> float:
    """The share of `mine` that is found where of all others the share SPECIFICITY is left alone."""
    n_others = int((~mine).sum())
    if not 0 < n_others < len(mine):
        return float("nan")
    place = min(int(np.ceil(SPECIFICITY * n_others)), n_others) - 1
    return float((scores[mine] > np.partition(scores[~mine], place)[place]).mean())
