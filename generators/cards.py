"""From a finished run to its card, and from a card back to what sampling needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from generators.base import GeneratorCard, Run
from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.folder import versions, write_card
from generators.privacy import NON_PRIVATE_NOTE
from generators.steps_log import spent_from_log


def finish_run(
    run: Run,
    *,
    name: str,
    settings: object,
    vocabulary: Vocabulary,
    public_data: Sequence[Mapping[str, str]],
    packages: Sequence[str],
    notes: Sequence[str] = (),
) -> GeneratorCard:
    """Settle what `steps.log` says was spent, and write `generator.json`. settings: the generator's config."""
    spend = spent_from_log(run.out)
    run.recorder.settle(spend)
    card = GeneratorCard(
        name=name,
        config=asdict(settings),  # type: ignore[call-overload]  # every config is a dataclass
        data_digest=run.images.digest,
        budget=run.budget,
        spend=spend,
        labels=vocabulary.labels,
        sexes=vocabulary.sexes,
        age_groups=vocabulary.age_groups,
        image_size=run.images.images.shape[1],
        bit_depth=run.images.used_bits,
        channels=run.images.channels,
        public_data=public_data,
        seed=run.seed,
        versions=versions(*packages),
        notes=tuple(notes) if run.budget.is_private else (NON_PRIVATE_NOTE, *notes),
    )
    write_card(run.out, card)
    return card


def card_vocabulary(card: GeneratorCard) -> Vocabulary:
    return Vocabulary(labels=tuple(card.labels), sexes=tuple(card.sexes), age_groups=tuple(card.age_groups))


def synthetic_set(pixels: NDArray[np.float32], cells: ImageSet, card: GeneratorCard) -> ImageSet:
    """Images in [0, 1], any shape [n, ...], stored as the card says beside the conditions that they were drawn for."""
    side, n = card.image_size, len(pixels)
    shape = (n, side, side) if card.channels == 1 else (n, side, side, card.channels)
    levels: NDArray[np.float32] = np.round(np.clip(pixels, 0, 1) * (2**card.bit_depth - 1)).reshape(shape)
    stored = levels.astype(np.uint8) if card.bit_depth == 8 else levels.astype(np.uint16)
    return ImageSet(images=stored, label=cells.label, sex=cells.sex, age_group=cells.age_group, bits=card.bit_depth)
