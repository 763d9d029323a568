"""Telling synthetic images from real ones: features, a fixed pair of classifiers, and folds that keep people whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audits.embeddings import Embedding
from audits.judges import N_BINS
from audits.pixels import Floats, resize
from audits.spectrum import radial_power
from audits.stats import Doubles, auc, auc_p_value, rows_by_subject
from audits.two_sample import by_subject, compare, source_features
from generators.data import ImageSet, Strings

N_FOLDS = 5
SIDE = 24
METHOD = (
    f"mean probability of a logistic regression ({SIDE} px and power by frequency) and gradient-boosted trees (grey "
    "levels, frequencies, traces of compression, and features)"
)


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Images as a detector sees them: rows [N, D] for either classifier, and the subject of each."""

    linear: Floats
    boosted: Floats
    subjects: Strings

    @property
    def n_subjects(self) -> int:
        return len(np.unique(self.subjects))

    def select(self, rows: NDArray[np.intp]) -> Looks:
        """The images in `rows`."""
        return Looks(linear=self.linear[rows], boosted=self.boosted[rows], subjects=self.subjects[rows])


Detector = Callable[[Looks], Doubles]


@dataclass(frozen=True, kw_only=True)
class Told:
    """How well two arms are told apart. auc: above .5 where `made` scores higher; real, made: scores of each image.

    n_real, n_made: how many people count for the interval. p_value: of "they are alike", one-sided. public: scores of
    public images that the detector has not seen, where there are any.
    """

    auc: float
    p_value: float
    real: Doubles
    made: Doubles
    n_real: int
    n_made: int
    public: Doubles | None = None


def looks_of(grey: Floats, subjects: Strings, embedding: Embedding) -> Looks:
    """What a detector sees of grey images [N, H, W]."""
    powers = np.log(radial_power(grey) + 1e-9)
    linear = np.concatenate([resize(grey, SIDE).reshape(len(grey), -1), powers], axis=1)
    boosted = np.concatenate([source_features(grey), embedding.extract(grey)], axis=1)
    return Looks(linear=linear.astype(np.float32), boosted=boosted.astype(np.float32), subjects=subjects)


def teach(real: Looks, made: Looks, *, seed: int) -> Detector:
    """A detector that has seen these images, best as many of either kind: the probability that an image is made."""
    truth = np.repeat([0, 1], [len(real.subjects), len(made.subjects)])
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    boosted = HistGradientBoostingClassifier(
        max_iter=60, max_depth=3, max_bins=N_BINS, early_stopping=False, random_state=seed
    )
    linear.fit(np.concatenate([real.linear, made.linear]), truth)
    boosted.fit(np.concatenate([real.boosted, made.boosted]), truth)

    def ask(images: Looks) -> Doubles:
        votes = linear.predict_proba(images.linear), boosted.predict_proba(images.boosted)
        return np.asarray(np.mean(votes, axis=0)[:, 1], dtype=np.float64)

    return ask


def cross_validated(real: Looks, made: Looks, *, seed: int) -> Told:
    """Every image is asked of a detector that saw nobody of its fold; the AUC is the mean over folds.

    Folds are not independent: what one has too much of by chance teaches the detectors of the others. So the interval
    counts half of the people, and the p-value is that of a linear detector under new deals of the people, exact.
    """
    rng = np.random.default_rng(seed)
    scores, aucs = (np.empty(len(real.subjects)), np.empty(len(made.subjects))), []
    for asked in zip(*(_folds(arm.subjects, rng) for arm in (real, made)), strict=True):
        seen = [arm.select(_others(arm, rows)) for arm, rows in zip((real, made), asked, strict=True)]
        detector = teach(*seen, seed=seed)
        for part, arm, rows in zip(scores, (real, made), asked, strict=True):
            part[rows] = detector(arm.select(rows))
        aucs.append(auc(scores[1][asked[1]], scores[0][asked[0]]))
    return Told(
        auc=float(np.mean(aucs)),
        p_value=compare(_by_person(real), _by_person(made), seed=seed).p_value,
        real=scores[0],
        made=scores[1],
        n_real=real.n_subjects // 2,
        n_made=made.n_subjects // 2,
    )


def taught_on_public(public: Looks, real: Looks, made: Looks, *, seed: int) -> Told:
    """A detector that saw public images and half of `made`, asked about the other half and about `real`.

    It is taught with as many images of either kind; the public images that are left over are asked about too.
    """
    learned, asked = (made.select(rows) for rows in halves(made.subjects, np.random.default_rng(seed)))
    n = min(len(learned.subjects), len(public.subjects) // 2)
    detector = teach(public.select(np.arange(n)), learned.select(np.arange(n)), seed=seed)
    at_real, at_made = detector(real), detector(asked)
    left_over = detector(public.select(np.arange(n, len(public.subjects))))
    value, n_real, n_made = auc(at_made, at_real), real.n_subjects, asked.n_subjects
    return Told(
        auc=value,
        p_value=auc_p_value(value, n_real, n_made),
        real=at_real,
        made=at_made,
        n_real=n_real,
        n_made=n_made,
        public=left_over,
    )


def halves(subjects: Strings, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of two halves of the subjects."""
    rows = rows_by_subject(subjects)
    order = rng.permutation(len(rows))
    first, second = order[: len(rows) // 2], order[len(rows) // 2 :]
    return np.sort(np.concatenate([rows[i] for i in first])), np.sort(np.concatenate([rows[i] for i in second]))


def with_shares_of(real: ImageSet, synthetic: ImageSet, *, seed: int) -> ImageSet:
    """As many synthetic images as their labels allow in the shares of the real ones, so that even rows do not lose."""
    if real.label is None or synthetic.label is None:
        return synthetic
    words, counts = np.unique(real.label, return_counts=True)
    rows = [np.flatnonzero(synthetic.label == word) for word in words]
    scale = min(1.0, *(len(own) / count for own, count in zip(rows, counts, strict=True) if len(own)))
    rng = np.random.default_rng(seed)
    kept = [rng.permutation(own)[: max(1, round(scale * n))] for own, n in zip(rows, counts, strict=True)]
    return synthetic.select(np.sort(np.concatenate(kept)))


def _folds(subjects: Strings, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    rows = rows_by_subject(subjects)
    return [np.concatenate([rows[i] for i in part]) for part in np.array_split(rng.permutation(len(rows)), N_FOLDS)]


def _by_person(arm: Looks) -> Doubles:
    return by_subject(np.concatenate([arm.linear, arm.boosted], axis=1).astype(np.float64), arm.subjects)


def _others(arm: Looks, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.setdiff1d(np.arange(len(arm.subjects)), rows)
