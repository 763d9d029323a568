"""The judge of usefulness: a fixed pair of classifiers, trained on one arm and tested on held-out real people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audits.base import AuditInput
from audits.checks import white_level
from audits.pixels import Floats, shrunk
from audits.sampling import at_most
from audits.stats import Doubles, auc
from generators.data import ImageSet, Strings

LINEAR_SIZE, BOOSTED_SIZE = 24, 12
# Most of a fit goes into finding the edges of bins: 255 of them took twice the time at equal AUC.
N_BINS = 32
# Images that a judge is taught at most: 3 KiB each, and several copies of them in a fit.
MAX_TAUGHT = 20_000
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


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Images as the judge sees them: rows of pixels [N, D] at each of its sizes, the class and subject of each."""

    views: tuple[Floats, ...]
    classes: NDArray[np.intp]
    subjects: Strings

    def __len__(self) -> int:
        return len(self.classes)

    def select(self, rows: NDArray[np.intp]) -> Lesson:
        """The images in `rows`."""
        views = tuple(view[rows] for view in self.views)
        return replace(self, views=views, classes=self.classes[rows], subjects=self.subjects[rows])

    def joined(self, other: Lesson) -> Lesson:
        """The images of both."""
        views = tuple(np.concatenate(pair) for pair in zip(self.views, other.views, strict=True))
        classes = np.concatenate([self.classes, other.classes])
        return replace(self, views=views, classes=classes, subjects=np.concatenate([self.subjects, other.subjects]))


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
    """Train the judge twice, on synthetic and on real training images, and test both on the holdout.

    Of each arm at most 20,000 images are taken, as `at_most` draws them.
    """
    labels, white = common_labels(data), white_level(data)
    shown = (at_most(arm, MAX_TAUGHT, seed=data.seed) for arm in (data.holdout, data.synthetic, data.train))
    test, made, real = (lesson(arm, labels, white=white) for arm in shown)
    return Trial(
        labels=labels,
        truth=test.classes,
        subjects=test.subjects,
        synthetic=predict(made, test, seed=data.seed),
        real=predict(real, test, seed=data.seed),
    )


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


def lesson(arm: ImageSet, labels: Sequence[str], *, white: int) -> Lesson:
    """What the judge sees of the images with one of `labels`, which are sorted. The arm must have labels."""
    assert arm.label is not None  # noqa: S101 - `assessable` came first
    kept = arm.select(np.isin(arm.label, labels))
    assert kept.label is not None  # noqa: S101 - it has the columns of `arm`
    views = tuple(shrunk(kept, size, white=white).reshape(len(kept), -1) for size in (LINEAR_SIZE, BOOSTED_SIZE))
    return Lesson(views=views, classes=np.searchsorted(labels, kept.label), subjects=kept.subjects())


def predict(taught: Lesson, asked: Lesson, *, seed: int) -> Doubles:
    """Probabilities [N, n_labels] of the images in `asked`, by the judge that learns from `taught`: all labels."""
    judges = (
        make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)),
        HistGradientBoostingClassifier(
            max_iter=60, max_depth=3, max_bins=N_BINS, early_stopping=False, random_state=seed
        ),
    )
    votes = [
        judge.fit(shown, taught.classes).predict_proba(test)
        for judge, shown, test in zip(judges, taught.views, asked.views, strict=True)
    ]
    return np.asarray(np.mean(votes, axis=0), dtype=np.float64)
