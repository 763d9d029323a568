"""The cohort of a benchmark: phantoms, a folder or a shared data set, split once by subject for every row."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from audits.base import AuditError, AuditInput
from audits.checks import too_few
from audits.judges import assessable
from generators.data import ImageSet
from generators.phantoms import draw_phantoms
from generators.splits import split_by_subject
from generators.tables import read_cohort, resize_images

PHANTOMS = "phantoms"


def load_cohort(
    data: str, *, size: int, n_phantoms: int, split_seed: int, columns: Mapping[str, str | None]
) -> ImageSet:
    """The cohort at `size` pixels with its column `split`.

    data: PHANTOMS, a folder with `images.npz` and mostly `metadata.csv`, or the name of such a folder among the shared
    ones. columns: names of metadata columns by role, as `read_cohort` takes them. Raises AuditError or GeneratorError.
    """
    if data == PHANTOMS:
        cohort = draw_phantoms(n_subjects=n_phantoms, size=size, seed=split_seed).images
    else:
        folder = _find(data)
        metadata = folder / "metadata.csv"
        cohort = read_cohort(folder / "images.npz", metadata if metadata.is_file() else None, **columns)
        cohort = resize_images(cohort, size)
    return replace(cohort, split=split_by_subject(cohort.subjects(), seed=split_seed, labels=cohort.label))


def arms_of(cohort: ImageSet) -> AuditInput:
    """Its splits as arms; `synthetic` is the training arm itself, as in the row of real images.

    Raises AuditError where no generator could be judged on them: no labels, too few people.
    """
    train, holdout, control = (cohort.of_split(name) for name in ("train", "holdout", "control"))
    arms = AuditInput(train=train, holdout=holdout, control=control, synthetic=train)
    reason = assessable(arms) or too_few(train=train, holdout=holdout)
    if reason:
        raise AuditError(reason, where="data", remedy="give a larger cohort, and name its label column")
    return arms


def _find(data: str) -> Path:
    beside = Path(__file__).parents[2] / "shared" / "data"
    shared = Path(os.environ.get("VEILMARK_SHARED_DATA", beside))
    for folder in (Path(data), shared / data):
        if (folder / "images.npz").is_file():
            return folder
    raise AuditError(
        "no folder with images.npz",
        where=data,
        remedy=f"give {PHANTOMS}, a folder, or the name of one in VEILMARK_SHARED_DATA",
    )
