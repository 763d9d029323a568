"""The benchmark's judges: three classifiers trained on a row's images and tested on real people nobody trained on.

Logistic regression, a small convolutional network and gradient boosting, the same for every row, colour seen where
there is any. Classes are weighted evenly, so that a row of even classes has no advantage over an uneven cohort.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audits.base import AuditError
from audits.bench.network import fit_network
from audits.judges import macro_auc
from audits.pixels import Floats, resize
from audits.stats import Doubles
from generators.data import ImageSet, Strings

GREY_SIDE, COLOUR_SIDE, BOOSTED_SIDE = 24, 16, 12
# Under class weights the time of a fit goes into the edges of bins: 255 of them took 18 s in place of 2, at equal AUC.
N_BINS = 32
MIN_GROUP = 30
# Within views the linear and the convolutional judge alone are asked.
WITHIN_VIEW = ("logistic", "network")
Classes = NDArray[np.intp]
Predict = Callable[[Floats], Doubles]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """figures: means over the judges; by_judge: each one's own. None where a figure cannot be formed."""

    figures: Mapping[str, float | None]
    by_judge: Mapping[str, Mapping[str, float | None]]


def pixels_of(images: ImageSet, *, white: int) -> Floats:
    """float32 [N, C, H, W], black 0 and `white` 1."""
    scaled = images.images.astype(np.float32) / np.float32(white)
    return scaled[:, None] if images.channels == 1 else np.ascontiguousarray(np.moveaxis(scaled, -1, 1))


def shrink(pixels: Floats, side: int) -> Floats:
    """[N, C, H, W] averaged to at most `side` pixels a side; smaller ones stay as they are."""
    n, channels, height, width = pixels.shape
    if max(height, width) <= side:
        return pixels
    return resize(pixels.reshape(n * channels, height, width), side).reshape(n, channels, side, side)


def judge(shown: ImageSet, test: ImageSet, *, rarest: str, view: Strings | None, white: int, seed: int) -> Judged:
    """Train the judges on `shown` and test them on `test`, whose rows `view` divides where it is given.

    rarest: the label of the cohort with the fewest training subjects. Raises AuditError.
    """
    labels = _labels(shown, test)
    classes, truth = (_numbers(arm, labels) for arm in (shown, test))
    pixels, asked = (pixels_of(arm, white=white) for arm in (shown, test))
    by_judge = {}
    for name, fit in JUDGES.items():
        scores = fit(pixels, classes, len(labels), seed)(asked)
        by_judge[name] = _figures(scores, truth, labels=labels, rarest=rarest, view=view, test=test)
    figures = {figure: _mean([own[figure] for own in by_judge.values()]) for figure in by_judge["logistic"]}
    figures["within_view_auc"] = _mean([by_judge[name]["within_view_auc"] for name in WITHIN_VIEW])
    return Judged(figures=figures, by_judge=by_judge)


def fit_logistic(pixels: Floats, classes: Classes, n_classes: int, seed: int) -> Predict:  # noqa: ARG001 - as the other judges
    side = GREY_SIDE if pixels.shape[1] == 1 else COLOUR_SIDE

    def flat(images: Floats) -> Floats:
        small = shrink(images, side)
        return small.reshape(len(small), -1)

    # The more pixels, the stronger the penalty: .01 at 24 x 24, as the audits' judge has it.
    penalty = 5.76 / flat(pixels[:1]).shape[1]
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=300, class_weight="balanced"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(flat(pixels), classes)
    return lambda asked: _spread(fitted.predict_proba(flat(asked)), fitted.classes_, n_classes)


def fit_boosted(pixels: Floats, classes: Classes, n_classes: int, seed: int) -> Predict:

    def flat(images: Floats) -> Floats:
        small = shrink(images, BOOSTED_SIDE)
        return small.reshape(len(small), -1)

    fitted = HistGradientBoostingClassifier(
        max_iter=60, max_depth=3, max_bins=N_BINS, early_stopping=False, class_weight="balanced", random_state=seed
    ).fit(flat(pixels), classes)
    return lambda asked: _spread(fitted.predict_proba(flat(asked)), fitted.classes_, n_classes)


JUDGES: dict[str, Callable[[Floats, Classes, int, int], Predict]] = {
    "logistic": fit_logistic,
    "network": fit_network,
    "boosted": fit_boosted,
}


def _figures(
    scores: Doubles, truth: Classes, *, labels: Sequence[str], rarest: str, view: Strings | None, test: ImageSet
) -> dict[str, float | None]:
    right = scores.argmax(axis=1) == truth
    recalls = {label: float(right[truth == number].mean()) for number, label in enumerate(labels)}
    return {
        "tstr_auc": _known(macro_auc(truth, scores)),
        "tstr_accuracy": float(right.mean()),
        "tstr_balanced_accuracy": float(np.mean(list(recalls.values()))),
        "rarest_sensitivity": recalls.get(rarest),
        "within_view_auc": None if view is None else _mean(list(_by_group(scores, truth, view).values())),
        "group_auc_gap": _worst_gap(scores, truth, test),
    }


def _worst_gap(scores: Doubles, truth: Classes, test: ImageSet) -> float | None:
    """The largest difference of AUC between groups of one kind, sex or age; None where fewer than two can be read."""
    gaps = []
    for column in (test.sex, test.age_group):
        found = [] if column is None else [*_by_group(scores, truth, column).values()]
        if len(found) > 1:
            gaps.append(max(found) - min(found))
    return max(gaps) if gaps else None


def _by_group(scores: Doubles, truth: Classes, group: Strings) -> dict[str, float]:
    """Macro AUC within each group of at least MIN_GROUP images that holds every label."""
    found = {}
    for word in sorted(set(group.tolist()) - {""}):
        mine = group == word
        value = macro_auc(truth[mine], scores[mine]) if mine.sum() >= MIN_GROUP else float("nan")
        if np.isfinite(value):
            found[str(word)] = value
    return found


def _labels(shown: ImageSet, test: ImageSet) -> list[str]:
    if shown.label is None or test.label is None:
        raise AuditError("has no labels", where="data", remedy="name the label column")
    labels = sorted(set(test.label.tolist()) - {""})
    known = sorted(set(labels) & set(shown.label.tolist()))
    if len(known) < 2:
        raise AuditError("fewer than two labels in common", where="a row's images", remedy="check the labels")
    return labels


def _numbers(arm: ImageSet, labels: Sequence[str]) -> Classes:
    return np.array([labels.index(str(word)) for word in arm.label], dtype=np.intp)  # type: ignore[union-attr]  # checked


def _spread(scores: Doubles, present: Classes, n_classes: int) -> Doubles:
    """Probabilities of the classes seen in training in their places among all; 0 for a class that was not."""
    full = np.zeros((len(scores), n_classes))
    full[:, present] = scores
    return full


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
