"""One split of the augmentation study: the rare label cut, the generator trained, the judges with and without help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from audits.bench.datasets import Cohort, rounded_up
from audits.bench.judging import JUDGES, pixels_of
from generators.base import CellCount
from generators.data import ImageSet
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator

Scores = NDArray[np.float64]
REAL, SYNTHETIC, COPIES = "real", "real + synthetic", "real + shifted copies"
MEAN = "mean of the three"
# Of a copy: pixels it moves at most in 28, and deviations of brightness and contrast.
SHIFT, BRIGHTNESS, CONTRAST = 2, 0.05, 0.1


@dataclass(frozen=True, kw_only=True)
class Study:
    """What decides a result. n_rare: subjects of the rare label kept. n_each: images added of each label that is drawn.

    drawn: `rare` (the rare label alone gets synthetic images) or `all`. copies: whether there is a third arm, without
    a generator (`shifted_copies`).
    """

    data: str
    rare: str
    generator: str
    epsilon: float
    n_rare: int
    n_each: int
    drawn: str
    specificity: float
    size: int | None
    cap: int
    public: str
    settings: tuple[str, ...]
    copies: bool


@dataclass(frozen=True, kw_only=True)
class Rates:
    """On the holdout, at the threshold that gives the study's specificity on the control part."""

    sensitivity: float
    specificity: float


# Rates by judge (and of their mean score) by arm.
Outcome = Mapping[str, Mapping[str, Rates]]


def measure(study: Study, cohort: Cohort, public: ImageSet | None, *, seed: int) -> Outcome:
    """One split: the judges learn from the real images, and from them with each kind of help."""
    images = cohort.images
    train = cut_rare(images.of_split("train"), study.rare, study.n_rare, seed=seed)
    added = {REAL: None, SYNTHETIC: _draw(study, cohort, train, public, seed=seed)}
    if study.copies:
        added[COPIES] = shifted_copies(train.select(np.asarray(train.label == study.rare)), study.n_each, seed=seed)
    control, holdout = images.of_split("control"), images.of_split("holdout")
    return {
        arm: _rates(study, [train] if extra is None else [train, extra], control, holdout, seed=seed)
        for arm, extra in added.items()
    }


def cut_rare(train: ImageSet, rare: str, n_subjects: int, *, seed: int) -> ImageSet:
    """The training part without all but `n_subjects` of the people who have an image of the rare label."""
    people = np.unique(train.subjects()[train.label == rare])
    kept = np.random.default_rng(seed).permutation(people)[:n_subjects]
    return train.select(~np.isin(train.subjects(), np.setdiff1d(people, kept)))


def shifted_copies(images: ImageSet, n: int, *, seed: int) -> ImageSet:
    """`n` of the images, drawn again and again, a little moved and of a little other brightness and contrast.

    What anybody can do without a generator: exact copies would change nothing where classes are weighted evenly.
    """
    rng = np.random.default_rng(seed)
    chosen = images.select(rng.integers(len(images), size=n))
    white, most = images.max_value, max(1, round(SHIFT * images.images.shape[1] / 28))
    moved = np.stack([_moved(image, rng.integers(-most, most + 1, size=2), most) for image in chosen.images])
    each = (n,) + (1,) * (moved.ndim - 1)
    factors, offsets = rng.normal(1, CONTRAST, each), rng.normal(0, BRIGHTNESS, each)
    levels = np.clip(np.round(((moved / white - 0.5) * factors + 0.5 + offsets) * white), 0, white)
    return replace(chosen, images=levels.astype(np.uint8) if images.bit_depth == 8 else levels.astype(np.uint16))


def _moved(image: NDArray[np.uint8 | np.uint16], by: NDArray[np.intp], most: int) -> NDArray[np.uint8 | np.uint16]:
    """The image moved by two numbers of pixels, its border repeated."""
    padded = np.pad(image, [(most, most), (most, most)] + [(0, 0)] * (image.ndim - 2), mode="edge")
    down, right = most + by
    return padded[down : down + image.shape[0], right : right + image.shape[1]]


def _draw(study: Study, cohort: Cohort, train: ImageSet, public: ImageSet | None, *, seed: int) -> ImageSet:
    # The sets are public, so their cut size is too.
    budget = PrivacyBudget(
        target_epsilon=study.epsilon, public_n_subjects=rounded_up(train.n_subjects), privacy_unit=cohort.unit
    )
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "generator"
        card = train_generator(
            name=study.generator,
            images=replace(train, split=None),
            budget=budget,
            config=dict(pair.split("=", 1) for pair in study.settings),
            out=folder,
            seed=seed,
            public=public,
        )
        drawn = [study.rare] if study.drawn == "rare" else card.labels
        return sample_generator(folder, [CellCount(label=word, n=study.n_each) for word in drawn], seed=seed)


def _rates(study: Study, parts: list[ImageSet], control: ImageSet, holdout: ImageSet, *, seed: int) -> dict[str, Rates]:
    white = holdout.max_value
    pixels = np.concatenate([pixels_of(part, white=white) for part in parts])
    truth = np.concatenate([np.asarray(part.label == study.rare) for part in parts]).astype(np.intp)
    asked = [pixels_of(images, white=white) for images in (control, holdout)]
    scores = {}
    for name, fit in JUDGES.items():
        ask = fit(pixels, truth, 2, seed)
        scores[name] = [ask(images)[:, 1] for images in asked]
    scores[MEAN] = [np.mean(pair, axis=0) for pair in zip(*scores.values(), strict=True)]
    is_rare = [np.asarray(images.label == study.rare) for images in (control, holdout)]
    return {name: rates(found, is_rare, specificity=study.specificity) for name, found in scores.items()}


def rates(scores: Sequence[Scores], is_rare: Sequence[NDArray[np.bool_]], *, specificity: float) -> Rates:
    """Of scores on control part and holdout: the threshold is the one's, the rates are the other's."""
    control, holdout = scores
    called = holdout > np.quantile(control[~is_rare[0]], specificity)
    return Rates(sensitivity=float(called[is_rare[1]].mean()), specificity=float((~called[~is_rare[1]]).mean()))
