"""Generator folders of which it is known what they give away: the images that they draw from are kept beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from audits.copies.rare_cells import Cell
from generators.base import CellCount, GeneratorCard, Progress, no_progress
from generators.cards import card_vocabulary
from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.folder import load_card, write_card
from generators.privacy import PrivacyBudget, PrivacySpend

MOST_SHIFT = 2  # pixels


class Drawer:
    """Draws with replacement among the images that are kept of the cell asked for: moved a little, noisy."""

    name = "drawer"
    config_class = object

    def sample(
        self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress = no_progress
    ) -> ImageSet:
        """See the protocol; one cell at a time is asked for."""
        (count,) = counts
        card_vocabulary(load_card(folder)).cells(counts)
        held = ImageSet.load(_held(folder))
        theirs = held.select(Cell(label=count.label, sex=count.sex, age_group=count.age_group).rows(held))
        rng = np.random.default_rng(seed)
        drawn = theirs.select(rng.integers(0, len(theirs), count.n))
        moved = [np.roll(image, rng.integers(-MOST_SHIFT, MOST_SHIFT + 1), axis=1) for image in drawn.images]
        noisy = np.stack(moved) + rng.normal(0, 5, drawn.images.shape)
        return replace(drawn, images=np.clip(noisy, 0, 255).astype(np.uint8), subject=None)


class Copier(Drawer):
    """Gives the images away as they are."""

    name = "copier"

    def sample(
        self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress = no_progress
    ) -> ImageSet:
        (count,) = counts
        held = ImageSet.load(_held(folder))
        theirs = held.select(Cell(label=count.label, sex=count.sex, age_group=count.age_group).rows(held))
        return theirs.select(np.arange(count.n) % len(theirs))


def _held(folder: Path) -> Path:
    """Beside the folder: in it no .npz is let through."""
    return folder.with_suffix(".npz")


def folder_of(held: ImageSet, out: Path, *, name: str = Drawer.name, by_group: bool = True) -> Path:
    """A generator folder that holds these images. by_group: whether it can be asked for sex and age group."""
    out.mkdir()
    held.save(_held(out))
    vocabulary = Vocabulary.of(held)
    budget = PrivacyBudget.without_privacy(public_n_subjects=1000)
    card = GeneratorCard(
        name=name,
        config={},
        data_digest=held.digest,
        budget=budget,
        spend=PrivacySpend(spent_epsilon=math.inf, delta=1e-4, accountant="none", events=()),
        labels=vocabulary.labels,
        sexes=vocabulary.sexes if by_group else (),
        age_groups=vocabulary.age_groups if by_group else (),
        image_size=held.images.shape[1],
        bit_depth=8,
        channels=1,
        public_data=(),
        seed=0,
        versions={},
    )
    write_card(out, card)
    return out
