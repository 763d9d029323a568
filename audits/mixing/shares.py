"""Shares of synthetic images to add to real ones, drawn so that each holds the labels as the whole set does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audits.judges import Lesson
from audits.stats import rows_by_subject

SHARES = (0.25, 0.5, 1.0, 2.0)


def stratified_order(classes: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """An order of the rows, random within each class, of which every beginning holds the classes in equal shares.

    Beginnings hold one another: a larger share adds images to a smaller one and takes none away.
    """
    place = np.empty(len(classes))
    for number in np.unique(classes):
        mine = rng.permutation(np.flatnonzero(classes == number))
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return np.argsort(place, kind="stable")


def n_asked(n_real: int) -> dict[str, int]:
    """How many synthetic images each share asks for, by its name, smallest first."""
    return {f"{share:.0%}".replace("%", " %"): round(share * n_real) for share in SHARES}


def parts_of(made: Lesson, n_real: int, *, seed: int) -> dict[str, Lesson]:
    """What is added to `n_real` real images, by share; a share is left out where there are too few synthetic images."""
    order = stratified_order(made.classes, np.random.default_rng(seed))
    return {share: made.select(order[:n]) for share, n in n_asked(n_real).items() if n <= len(made)}


def halves_of(real: Lesson, *, seed: int) -> tuple[Lesson, Lesson]:
    """Two halves by subject, the labels shared evenly by each subject's first image."""
    people = rows_by_subject(real.subjects)
    order = stratified_order(real.classes[[rows[0] for rows in people]], np.random.default_rng(seed))
    first, second = (np.sort(np.concatenate([people[i] for i in order[start::2]])) for start in (0, 1))
    return real.select(first), real.select(second)


def with_every_label_wrong(made: Lesson, *, n_labels: int) -> Lesson:
    """The same images, each with the label after its own: harm that nobody can miss who sees harm at all."""
    return Lesson(views=made.views, classes=(made.classes + 1) % n_labels, subjects=made.subjects)
