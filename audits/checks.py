"""Are these arms fit for an audit? Refuses what would make every figure meaningless, reports what would bias one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from audits.base import AuditError, AuditInput, Measurement, Status
from audits.embeddings.choice import require_extractor
from audits.jpeg_history import jpeg_history
from audits.neighbours import nearest
from audits.pixels import GreyView, by_block, shrunk
from audits.stats import clopper_pearson, rows_by_subject
from audits.two_sample import by_subject, compare, first_people, source_features
from generators.data import ImageSet

MIN_SUBJECTS = 50
# One cohort in a thousand that was split by chance is refused; one from two scanners is far out.
SOURCE_LEVEL = 0.001
# The same, of an attack on which nobody was trained.
CONTROL_CONFIDENCE = 1 - SOURCE_LEVEL
# Of an image's own spread, at 16 pixels. Compression moves it by .01 to .06, and another person lies at .15 or more.
SAME_IMAGE = 0.07


def prepare(data: AuditInput) -> tuple[AuditInput, list[Measurement]]:
    """Arms fit for audits, and what was found on the way.

    Unseen images that are a training image again, bit for bit or but for compression, are counted and left out: an
    unseen arm that holds members' images would make a copier look innocent. Raises AuditError for empty or constant
    arms, different sizes, depths or channels, for arms that share a subject, and for an unknown extractor.
    """
    require_extractor(data)
    arms = dict(_arms(data))
    for name, arm in arms.items():
        _refuse_unusable(name, arm)
        _refuse_mismatch(name, arm, data.train)
    if data.public is not None:
        _refuse_unusable("public", data.public)
        _refuse_mismatch("public", data.public, data.train)
    _refuse_shared_subjects({name: arm for name, arm in arms.items() if name != "synthetic"})
    unseen = {name: arms[name] for name in ("holdout", "control") if name in arms}
    identical = {name: identical_to(data.train, arm) for name, arm in unseen.items()}
    seen = {name: identical[name] | same_image(data.train, arm) for name, arm in unseen.items()}
    kept = {name: arm.select(~seen[name]) for name, arm in unseen.items()}
    for name, arm in kept.items():
        _refuse_unusable(f"{name} without its copies of training images", arm)
    checked = replace(data, holdout=kept["holdout"], control=kept.get("control"))
    return checked, [_identical_measurement(data, identical, seen), _constant_measurement(arms), jpeg_history(arms)]


def identical_to(gallery: ImageSet, queries: ImageSet) -> NDArray[np.bool_]:
    """[Q]: whether a query's pixels equal, bit for bit, those of any gallery image."""
    known = {_digest(image) for image in gallery.images}
    return np.array([_digest(image) in known for image in queries.images], dtype=bool)


def _digest(image: NDArray[np.generic]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def same_image(gallery: ImageSet, queries: ImageSet) -> NDArray[np.bool_]:
    """[Q]: whether a query is some gallery image again, compressed anew or with a little noise."""
    known, asked = (shrunk(arm, 16, white=gallery.max_value).reshape(len(arm), -1) for arm in (gallery, queries))
    _, distance = nearest(asked, known)
    return np.asarray(distance < SAME_IMAGE * asked.std(axis=1) * np.sqrt(asked.shape[1]))


def white_level(data: AuditInput) -> int:
    """The declared white, which `prepare` found to be one for all arms: 255, or 2^bits - 1 of 16-bit storage."""
    return data.train.max_value


def unseen_arms(data: AuditInput) -> tuple[ImageSet, ImageSet]:
    """Two arms that no generator saw: holdout and control; without a control, two halves of the holdout's subjects."""
    if data.control is not None:
        return data.holdout, data.control
    rows = rows_by_subject(data.holdout.subjects())
    half = np.zeros(len(data.holdout), dtype=bool)
    for i in np.random.default_rng(data.seed).permutation(len(rows))[: len(rows) // 2]:
        half[rows[i]] = True
    return data.holdout.select(half), data.holdout.select(~half)


def too_few(minimum: int = MIN_SUBJECTS, **arms: ImageSet) -> str:
    """Why these arms cannot carry a finding: the first with fewer than `minimum` people; empty when all have enough."""
    for name, arm in arms.items():
        if arm.n_subjects < minimum:
            return f"{name} has {arm.n_subjects} people, at least {minimum} are needed"
    return ""


def same_source(data: AuditInput) -> str:
    """Why members cannot be held against non-members; empty when train and the unseen arms come from one source.

    A classifier's two-sample test by subject, in which no synthetic image plays a part (see `two_sample`).
    """
    real = {name: arm for name, arm in _arms(data) if name != "synthetic"}
    digests = tuple(f"{name} {arm.digest}" for name, arm in real.items())
    return _compared(_RealArms(digests=digests, seed=data.seed, arms=real, white=white_level(data)))


@dataclass(frozen=True, kw_only=True)
class _RealArms:
    """Real arms by their digests, so that all audits of a run share one comparison."""

    digests: tuple[str, ...]
    seed: int
    arms: dict[str, ImageSet] = field(compare=False)
    white: int = field(compare=False)


@lru_cache(maxsize=1)
def _compared(real: _RealArms) -> str:
    if any(arm.n_subjects < MIN_SUBJECTS for arm in real.arms.values()):
        return ""  # too few to tell sources apart, and too few for any audit that would compare them
    at = {
        name: by_subject(by_block(GreyView(sets=(arm,), white=real.white), source_features), arm.subjects())
        for name, arm in ((name, first_people(arm)) for name, arm in real.arms.items())
    }
    for name in [name for name in at if name != "train"]:
        found = compare(at["train"], at[name], seed=real.seed)
        if found.p_value <= SOURCE_LEVEL:
            return (
                f"train is told from {name} without any leak (AUC {found.auc:.2f}): the arms differ in source, such as "
                "scanner, archive or compression"
            )
    return ""


def _arms(data: AuditInput) -> Iterator[tuple[str, ImageSet]]:
    for name in ("train", "holdout", "synthetic", "control"):
        arm = getattr(data, name)
        if arm is not None:
            yield name, arm


def _constant(arm: ImageSet) -> NDArray[np.bool_]:
    flat = arm.images.reshape(len(arm), -1)
    return np.asarray(flat.min(axis=1) == flat.max(axis=1))


def _refuse_unusable(name: str, arm: ImageSet) -> None:
    if not len(arm):
        raise AuditError("no images", where=name, remedy="give at least one image for each arm")
    if bool(_constant(arm).all()):
        raise AuditError("every image is constant", where=name, remedy="give images with content")


def _refuse_mismatch(name: str, arm: ImageSet, train: ImageSet) -> None:
    for what, ours, theirs in (
        ("size", arm.images.shape[1:3], train.images.shape[1:3]),
        ("bit depth", arm.used_bits, train.used_bits),
        ("channels", arm.channels, train.channels),
    ):
        if ours != theirs:
            raise AuditError(f"{what} is {ours}, train has {theirs}", where=name, remedy="bring all arms to one format")


def _refuse_shared_subjects(arms: dict[str, ImageSet]) -> None:
    names = [name for name, arm in arms.items() if arm.subject is not None]
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared = np.intersect1d(arms[first].subjects(), arms[second].subjects())
            if len(shared):
                raise AuditError(
                    f"{len(shared)} subjects are also in {first}", where=second, remedy="split the cohort by subject"
                )


def _identical_measurement(
    data: AuditInput, identical: dict[str, NDArray[np.bool_]], seen: dict[str, NDArray[np.bool_]]
) -> Measurement:
    k, n = sum(int(rows.sum()) for rows in seen.values()), sum(len(rows) for rows in seen.values())
    low, high = clopper_pearson(k, n)
    report = partial(
        Measurement,
        name="arms.identical_images",
        unit="share of unseen images",
        method=(
            "images of the unseen arms that are a training image again, bit for bit or but for compression (apart by "
            f"less than {SAME_IMAGE:.0%} of their own spread at 16 pixels); they are left out of every audit"
        ),
        source="direct comparison of pixels",
    )
    return report(
        status=Status.DETECTED if k else Status.NOT_DETECTED,
        value=k / n,
        ci_low=low,
        ci_high=high,
        n={"train": len(data.train), **{name: len(rows) for name, rows in seen.items()}},
        baseline=0.0,
        reason=f"{k} of {n} unseen images are also in train" if k else "",
        details={
            "n_identical": {name: int(rows.sum()) for name, rows in identical.items()},
            "n_identical_but_for_compression": {
                name: int((rows & ~identical[name]).sum()) for name, rows in seen.items()
            },
        },
    )


def _constant_measurement(arms: dict[str, ImageSet]) -> Measurement:
    counts = {name: int(_constant(arm).sum()) for name, arm in arms.items()}
    n = sum(map(len, arms.values()))
    low, high = clopper_pearson(sum(counts.values()), n)
    return Measurement(
        name="arms.constant_images",
        unit="share of images",
        method="images whose pixels all have one value",
        source="direct comparison of pixels",
        status=Status.DETECTED if any(counts.values()) else Status.NOT_DETECTED,
        value=sum(counts.values()) / n,
        ci_low=low,
        ci_high=high,
        n={name: len(arm) for name, arm in arms.items()},
        baseline=0.0,
        reason=", ".join(f"{count} in {name}" for name, count in counts.items() if count),
        details={"n_constant": counts},
    )
