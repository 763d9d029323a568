"""Some of an arm, drawn by subject: what very large arms add to a figure is time, not knowledge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audits.stats import rows_by_subject
from generators.data import ImageSet


def at_most(images: ImageSet, n: int, *, seed: int) -> ImageSet:
    """The images, or `n` of them in order: those of the first subjects of a seeded order."""
    if len(images) <= n:
        return images
    names, owner = np.unique(images.subjects(), return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(names))
    return images.select(np.sort(np.argsort(place[owner], kind="stable")[:n]))


def some_of(images: ImageSet, n: int, *, seed: int) -> NDArray[np.intp]:
    """Rows, in order, of the images of at most n subjects, drawn by seed."""
    rows = rows_by_subject(images.subjects())
    drawn = np.random.default_rng(seed).permutation(len(rows))[:n]
    return np.sort(np.concatenate([rows[i] for i in drawn]))
