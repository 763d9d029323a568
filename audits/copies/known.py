"""The real images that others are held against: training people and unseen ones, and whose each image is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audits.pixels import GreyView
from generators.data import ImageSet

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Known:
    """Real images, training images first, then those of unseen people; whose each is."""

    grey: GreyView
    subjects: NDArray[np.str_]
    n_train_images: int

    @classmethod
    def of(cls, train: ImageSet, unseen: ImageSet, *, white: int) -> Known:
        arms = {"t": train, "u": unseen}
        return cls(
            grey=GreyView(sets=(train, unseen), white=white),
            subjects=np.concatenate([np.char.add(letter, arm.subjects()) for letter, arm in arms.items()]),
            n_train_images=len(train),
        )

    @property
    def members(self) -> Mask:
        """[G]: which images are of train."""
        return np.arange(len(self.grey)) < self.n_train_images

    @property
    def strangers(self) -> GreyView:
        """The images of unseen people."""
        return replace(self.grey, sets=self.grey.sets[1:])

    @property
    def n_members(self) -> int:
        return len(np.unique(self.subjects[self.members]))

    @property
    def n_unseen(self) -> int:
        return len(np.unique(self.subjects[~self.members]))

    @property
    def n_blocks(self) -> int:
        """How many times as many people train has as the unseen arm."""
        return -(-self.n_members // self.n_unseen)

    @property
    def n_deals(self) -> int:
        """In how many ways it could be dealt who was trained on."""
        return math.comb(self.n_members + self.n_unseen, self.n_members)

    def people(self) -> tuple[Mask, Rows]:
        """Which person is of train [n_people], and the person of each image [G]: what is dealt anew."""
        names, number = np.unique(self.subjects, return_inverse=True)
        return np.char.startswith(names, "t"), number
