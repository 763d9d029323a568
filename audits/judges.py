"""The judge of usefulness: a fixed pair of classifiers, trained on one arm and tested on held-out real people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audits.base import AuditInput
from audits.checks import white_level
from audits.pixels import Floats, resize, to_grey
from audits.stats import Doubles, auc
from generators.data import ImageSet, Strings

LINEAR_SIZE, BOOSTED_SIZE = 24, 12
METHOD = f"mean probability of a logistic regression ({LINEAR_SIZE} px) and gradient-boosted trees ({BOOSTED_SIZE} px)"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Predictions on the holdout by judges trained on synthetic and on real images.

    labels: the classes in order; truth: index into `labels` [N]; synthetic, real: probabilities [N, len(labels)].
    """

    labels: Sequence[str]
    truth: NDArray[np.intp]
    subjects: Strings
    synthetic: Doubles
    real: Doubles


def assessable(data: AuditInput, *, min_per_label: int = 10) -> str:
    """Why no classifier can be judged on these arms; empty when one can."""
    arms = {"train": data.train, "holdout": data.holdout, "synthetic": data.synthetic}
    for name, arm in arms.items():
        if arm.label is None:
            return f"{name} has no labels"
        people = {label: arm.select(arm.label == label).n_subjects for label in common_labels(data)}
        if len(people) < 2:
            return "the arms share fewer than two labels"
        label, fewest = min(people.items(), key=lambda item: item[1])
        if fewest < min_per_label:
            return f"{name} has {fewest} people of label {label}, at least {min_per_label} are needed"
    return ""


def common_labels(data: AuditInput) -> list[str]:
    """The labels of every arm, without the empty one."""
    present = [set(arm.label.tolist()) for arm in (data.train, data.holdout, data.synthetic) if arm.label is not None]
    return sorted(set.intersection(*present) - {""})


def try_out(data: AuditInput) -> Trial:
    """Train the judge twice, on synthetic and on real training images, and test both on the holdout."""
    labels = common_labels(data)
    white = white_level(data)
    arms = (data.holdout, data.synthetic, data.train)
    (test, truth, subjects), *training = (_labelled(arm, labels, white) for arm in arms)
    synthetic, real = (_predict(images, classes, test, seed=data.seed) for images, classes, _ in training)
    return Trial(labels=labels, truth=truth, subjects=subjects, synthetic=synthetic, real=real)


def macro_auc(truth: NDArray[np.intp], scores: Doubles) -> float:
    """Mean one-against-rest AUC over the labels; nan when one of them is absent or alone."""
    n_labels = scores.shape[1]
    figures = []
    for label in range(1 if n_labels == 2 else 0, n_labels):
        mine = truth == label
        if not 0 < mine.sum() < len(mine):
            return float("nan")
        figures.append(auc(scores[mine, label], scores[~mine, label]))
    return float(np.mean(figures))


def _labelled(arm: ImageSet, labels: Sequence[str], white: int) -> tuple[Floats, NDArray[np.intp], Strings]:
    assert arm.label is not None  # noqa: S101 - `assessable` came first
    kept = arm.select(np.isin(arm.label, labels))
    assert kept.label is not None  # noqa: S101 - it has the columns of `arm`
    return to_grey(kept, white=white), np.searchsorted(labels, kept.label), kept.subjects()


def _predict(images: Floats, classes: NDArray[np.intp], test: Floats, *, seed: int) -> Doubles:
    judges = (
        (LINEAR_SIZE, make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))),
        (
            BOOSTED_SIZE,
            HistGradientBoostingClassifier(max_iter=60, max_depth=3, early_stopping=False, random_state=seed),
        ),
    )
    votes = []
    for size, judge in judges:
        flat, asked = (resize(part, size).reshape(len(part), -1) for part in (images, test))
        votes.append(judge.fit(flat, classes).predict_proba(asked))
    return np.asarray(np.mean(votes, axis=0), dtype=np.float64)
