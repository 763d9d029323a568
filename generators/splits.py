"""Train, holdout and control: by subject, seeded, made once."""

from __future__ import annotations

import numpy as np

from generators.base import DataError
from generators.data import SPLITS, Strings

DEFAULT_FRACTIONS = (0.6, 0.2, 0.2)


def split_by_subject(
    subjects: Strings,
    *,
    seed: int,
    fractions: tuple[float, float, float] = DEFAULT_FRACTIONS,
    labels: Strings | None = None,
) -> Strings:
    """One of train, holdout, control for each image, never two for one subject.

    subjects, labels: strings [N]. With labels the split is stratified by each subject's first label in sorted order.
    Deterministic in `seed` and in the set of subjects, whatever the order of the images. Raises DataError.
    """
    if not np.isclose(sum(fractions), 1) or min(fractions) < 0:
        raise DataError(f"fractions {fractions} do not sum to 1", where="split", remedy="give three shares of 1")
    people, index = np.unique(subjects, return_inverse=True)
    if len(people) < len(SPLITS):
        raise DataError(f"{len(people)} subjects", where="split", remedy="three parts need at least 3 subjects")
    stratum = np.zeros(len(people), dtype=np.intp)
    if labels is not None:
        label_no = np.unique(labels, return_inverse=True)[1]
        stratum = np.full(len(people), len(labels))
        np.minimum.at(stratum, index, label_no)
    # Shuffled within strata laid end to end, each share takes its part of every stratum.
    order = np.lexsort((np.random.default_rng(seed).permutation(len(people)), stratum))
    rank = np.empty(len(people), dtype=np.intp)
    rank[order] = np.arange(len(people))
    part = _interleaved_parts(len(people), fractions)[rank]
    return np.array(SPLITS)[part][index]


def _interleaved_parts(n: int, fractions: tuple[float, float, float]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """A part for each rank, the parts so interleaved that every run of ranks holds them in proportion."""
    given = np.zeros(len(fractions))
    parts = np.empty(n, dtype=np.intp)
    for position in range(n):
        owed = np.array(fractions) * (position + 1) - given
        parts[position] = int(np.argmax(owed))
        given[parts[position]] += 1
    return parts
