"""Labels too rare to learn: merged as declared, or refused to the custodian, on site, before anything is spent.

The refusal looks at exact counts of private subjects. It is read by the custodian alone, changes no file that leaves
and is written into no card (privacy.md 6 and 8, docs/privacy.md): like the data contract it decides whether a run
takes place, never what comes out of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from generators.base import ConfigError, DataError
from generators.data import ImageSet

MIN_SUBJECTS_A_LABEL = 5


def parse_merges(texts: Iterable[str]) -> dict[str, str]:
    """`a+b=c` to {a: c, b: c}. Raises ConfigError for another form, or a label that is merged twice."""
    merged: dict[str, str] = {}
    for text in texts:
        old, sign, new = (part.strip() for part in text.partition("="))
        words = [word.strip() for word in old.split("+")]
        if not sign or not new or "" in words:
            raise ConfigError(f"{text!r} is no a+b=c", where="--merge", remedy="as in --merge mass+nodule=lesion")
        for word in words:
            if merged.setdefault(word, new) != new:
                raise ConfigError(f"{word!r} is merged twice", where="--merge", remedy="name each label once")
    return merged


def merge_labels(images: ImageSet, merged: Mapping[str, str]) -> ImageSet:
    """The set with each label replaced by the one that it is merged into; others stay."""
    if images.label is None or not merged:
        return images
    return replace(images, label=np.array([merged.get(str(word), str(word)) for word in images.label], dtype=np.str_))


def require_merged_words(images: ImageSet, merged: Mapping[str, str]) -> None:
    """Refuse a merge of a word that no image bears: a slip of the pen would cost the budget. Raises ConfigError."""
    present = set() if images.label is None else set(images.label.tolist())
    unknown = sorted(set(merged) - present)
    if unknown:
        raise ConfigError(f"no image is labelled {unknown[0]!r}", where="--merge", remedy="check its spelling")


def require_subjects(images: ImageSet, *, minimum: int) -> None:
    """Refuse a set in which a label is borne by fewer than `minimum` subjects, seen on site only. Raises DataError.

    A declared label that nobody bears passes: a vocabulary may be wider than one cohort.
    """
    if images.label is None:
        return
    people = images.subjects()
    for label in np.unique(images.label):
        n = len(np.unique(people[images.label == label]))
        if n < minimum:
            raise DataError(
                f"{str(label)!r} is borne by {n} subjects, fewer than {minimum}",
                where="label",
                remedy="merge it, as in --merge a+b=c, or leave its images out",
            )
