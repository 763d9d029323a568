"""A detector for receivers: taught on released synthetic images and on public real ones, and on nothing else."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from audits.base import AuditError
from audits.detectors.detector import Detector, DetectorCard, Linear
from audits.detectors.looks import features_of
from audits.pixels import Floats, GreyView
from audits.recognition import halves
from audits.sampling import at_most
from audits.stats import Doubles, auc, auc_interval
from generators.data import ImageSet

MAX_TAUGHT = 10_000
LEAST = 50  # people or images of either kind, before each is halved
MIN_FOR_RATE = 100
RATE = 0.01
STRENGTH = 0.01  # of the logistic regression, as in the audit of detectability


def taught_on_public(synthetic: ImageSet, public: ImageSet, *, seed: int) -> Detector:
    """Taught on one half of either; the other half gives its threshold and its AUC. Halves are by subject.

    Raises AuditError for too few images, and for sets of different size, depth or colour.
    """
    refuse_mismatch(synthetic, public, where="public")
    made, real = (at_most(images, MAX_TAUGHT, seed=seed) for images in (synthetic, public))
    rng = np.random.default_rng(seed)
    (made_seen, made_new), (real_seen, real_new) = (halves(images.subjects(), rng) for images in (made, real))
    at_made, at_real = (features_of(GreyView(sets=(images,), white=images.max_value)) for images in (made, real))
    fitted = _fitted(at_made[made_seen], at_real[real_seen])
    unseen = fitted(at_real[real_new])
    n_real = real.select(real_new).n_subjects
    card = card_of(
        synthetic,
        taught_on="public",
        public=described(public),
        threshold=float(np.quantile(unseen, 1 - RATE)) if n_real >= MIN_FOR_RATE else None,
        unseen=told(fitted(at_made[made_new]), unseen, n_real=n_real),
        seed=seed,
    )
    return Detector(card=card, judge=fitted)


def tried(detector: Detector, synthetic: ImageSet, real: ImageSet) -> dict[str, object]:
    """AUC on real images and on the half of the synthetic ones that taught nothing; of private images it stays here."""
    made = at_most(synthetic, MAX_TAUGHT, seed=detector.card.seed)
    unseen = halves(made.subjects(), np.random.default_rng(detector.card.seed))[1]
    return told(detector.scores(made.select(unseen)), detector.scores(real), n_real=real.n_subjects)


def told(made: Doubles, real: Doubles, *, n_real: int) -> dict[str, object]:
    """AUC by which scores of synthetic images [N] exceed those of real ones [M], of `n_real` people."""
    value = auc(made, real)
    low, high = auc_interval(value, len(made), n_real)
    return {"auc": value, "ci_low": low, "ci_high": high, "n_synthetic": len(made), "n_real_people": n_real}


def described(images: ImageSet) -> dict[str, object]:
    """Digest and number of images."""
    return {"digest": images.digest, "n_images": len(images)}


def card_of(
    synthetic: ImageSet,
    *,
    taught_on: str,
    seed: int,
    public: dict[str, object] | None = None,
    threshold: float | None = None,
    unseen: dict[str, object] | None = None,
    spend: dict[str, object] | None = None,
    notes: tuple[str, ...] = (),
) -> DetectorCard:
    """The card of a detector of such images."""
    height, width = synthetic.images.shape[1:3]
    return DetectorCard(
        taught_on=taught_on,
        image_size=(height, width),
        used_bits=synthetic.used_bits,
        channels=synthetic.channels,
        synthetic=described(synthetic),
        public=public,
        threshold=threshold,
        unseen=unseen,
        spend=spend,
        notes=notes,
        seed=seed,
    )


def refuse_mismatch(synthetic: ImageSet, real: ImageSet, *, where: str) -> None:
    """Refuse what would be told apart by its form, and what is too little to learn from. Raises AuditError."""
    forms = [(images.images.shape[1:], images.used_bits) for images in (synthetic, real)]
    if forms[0] != forms[1]:
        raise AuditError(
            f"images have form {forms[1]}, synthetic ones {forms[0]}", where=where, remedy="bring both to one format"
        )
    fewest = min(len(synthetic), real.n_subjects)
    if fewest < LEAST:
        raise AuditError(
            f"{fewest} images or people are too few to learn from", where=where, remedy=f"give at least {LEAST}"
        )


def _fitted(made: Floats, real: Floats) -> Linear:
    """A logistic regression on as many images of either kind."""
    n = min(len(made), len(real))
    shown = np.concatenate([made[:n], real[:n]]).astype(np.float64)
    mean, scale = shown.mean(axis=0), shown.std(axis=0) + 1e-6
    found = LogisticRegression(C=STRENGTH, max_iter=500).fit((shown - mean) / scale, np.repeat([1, 0], n))
    return Linear(mean=mean, scale=scale, weights=found.coef_[0], intercept=found.intercept_)
