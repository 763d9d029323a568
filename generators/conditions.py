"""What a synthetic image can be asked for: a label and a person's groups, in public vocabularies (privacy.md 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generators.base import CellCount, ConfigError, DataError
from generators.data import ImageSet, Strings
from generators.groups import AGE_GROUPS, SEXES


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The words that conditions may use. Sexes and age groups are fixed, or empty where the cohort lacks them."""

    labels: tuple[str, ...]
    sexes: tuple[str, ...]
    age_groups: tuple[str, ...]

    @classmethod
    def of(cls, images: ImageSet, declared: str = "") -> Vocabulary:
        """The declared labels (comma-separated), else those of the cohort. Raises DataError for others, and gaps."""
        present = () if images.label is None else tuple(str(name) for name in np.unique(images.label))
        if "" in present and len(present) > 1:
            raise DataError("is empty for some images", where="label", remedy="give every image a label")
        labels = tuple(name.strip() for name in declared.split(",")) if declared else present or ("",)
        undeclared = sorted(set(present) - set(labels))
        if undeclared:
            raise DataError(
                f"{undeclared[0]!r} is not among the declared labels {', '.join(labels)}",
                where="label",
                remedy="declare it or leave its images out",
            )
        return cls(
            labels=labels,
            sexes=() if images.sex is None else SEXES,
            age_groups=() if images.age_group is None else AGE_GROUPS,
        )

    def numbers(self, images: ImageSet) -> NDArray[np.intp]:
        """[N, 3] positions of each image's label, sex and age group; -1 where a group is unknown."""
        n = len(images)
        label = np.zeros(n, dtype=np.intp) if images.label is None else _positions("label", images.label, self.labels)
        if np.any(label < 0):
            raise DataError("is empty for some images", where="label", remedy="give every image a label")
        sex = np.full(n, -1) if not self.sexes or images.sex is None else _positions("sex", images.sex, self.sexes)
        age = np.full(n, -1)
        if self.age_groups and images.age_group is not None:
            age = _positions("age_group", images.age_group, self.age_groups)
        return np.stack([label, sex, age], axis=1)

    def known_numbers(self, images: ImageSet) -> NDArray[np.intp]:
        """As `numbers` for images of another source: -1 for every word that this vocabulary lacks."""
        columns = ((images.label, self.labels), (images.sex, self.sexes), (images.age_group, self.age_groups))
        return np.stack(
            [
                np.full(len(images), -1) if words is None else np.array([_place(known, word) for word in words])
                for words, known in columns
            ],
            axis=1,
        )

    def cells(self, counts: Sequence[CellCount]) -> ImageSet:
        """An image set without content, one row an image asked for. Raises ConfigError for an unknown word."""
        for count in counts:
            _check_word("label", count.label, self.labels)
            _check_word("sex", count.sex, ("", *self.sexes))
            _check_word("age_group", count.age_group, ("", *self.age_groups))
            if count.n < 0:
                raise ConfigError(f"is {count.n}", where="count", remedy="ask for 0 or more")
        repeats = [count.n for count in counts]
        if not sum(repeats):
            raise ConfigError("no image asked for", where="counts", remedy="ask for at least 1")

        def column(words: list[str]) -> Strings:
            return np.repeat(np.array(words, dtype=np.str_), repeats)

        return ImageSet(
            images=np.zeros((sum(repeats), 1, 1), dtype=np.uint8),
            label=column([count.label for count in counts]),
            sex=column([count.sex for count in counts]),
            age_group=column([count.age_group for count in counts]),
        )


def even_counts(labels: Sequence[str], n: int) -> list[CellCount]:
    """n images in equal parts over the labels, the first labels taking what does not divide."""
    share, rest = divmod(n, len(labels))
    return [CellCount(label=label, n=share + (no < rest)) for no, label in enumerate(labels)]


def _positions(name: str, words: Strings, known: Sequence[str]) -> NDArray[np.intp]:
    place = {word: no for no, word in enumerate(known)}
    unknown = sorted({str(word) for word in words if word and word not in place})
    if unknown:
        raise DataError(f"{unknown[0]!r} is unknown", where=name, remedy=f"use one of {', '.join(known)}")
    return np.array([place.get(str(word), -1) for word in words], dtype=np.intp)


def _place(known: Sequence[str], word: str) -> int:
    return known.index(word) if word in known else -1


def _check_word(name: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        listed = ", ".join(repr(item) for item in known)
        raise ConfigError(f"{word!r} is not in the generator's vocabulary", where=name, remedy=f"use one of {listed}")
