"""From a finished run to its card, and from a card back to what sampling needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generators.base import GeneratorCard, SpendRecorder
from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.folder import versions, write_card
from generators.privacy import PrivacyBudget
from generators.steps_log import spent_from_log


def finish_run(
    out: Path,
    *,
    name: str,
    config: Mapping[str, object],
    images: ImageSet,
    budget: PrivacyBudget,
    vocabulary: Vocabulary,
    public_data: Sequence[Mapping[str, str]],
    seed: int,
    packages: Sequence[str],
    recorder: SpendRecorder,
) -> GeneratorCard:
    """Settle what `steps.log` says was spent, and write `generator.json`."""
    spend = spent_from_log(out)
    recorder.settle(spend)
    card = GeneratorCard(
        name=name,
        config=config,
        data_digest=images.digest,
        budget=budget,
        spend=spend,
        labels=vocabulary.labels,
        sexes=vocabulary.sexes,
        age_groups=vocabulary.age_groups,
        image_size=images.images.shape[1],
        bit_depth=int(images.max_value).bit_length(),
        channels=images.channels,
        public_data=public_data,
        seed=seed,
        versions=versions(*packages),
    )
    write_card(out, card)
    return card


def card_vocabulary(card: GeneratorCard) -> Vocabulary:
    return Vocabulary(labels=tuple(card.labels), sexes=tuple(card.sexes), age_groups=tuple(card.age_groups))


def synthetic_set(pixels: NDArray[np.float32], cells: ImageSet, card: GeneratorCard) -> ImageSet:
    """Images in [0, 1], any shape [n, ...], stored as the card says beside the conditions that they were drawn for."""
    side, n = card.image_size, len(pixels)
    shape = (n, side, side) if card.channels == 1 else (n, side, side, card.channels)
    levels: NDArray[np.float32] = np.round(np.clip(pixels, 0, 1) * (2**card.bit_depth - 1)).reshape(shape)
    stored = levels.astype(np.uint8) if card.bit_depth == 8 else levels.astype(np.uint16)
    return ImageSet(images=stored, label=cells.label, sex=cells.sex, age_group=cells.age_group)
