"""Building the public set that `--public` names: only images whose licence an operator permits (privacy.md 12)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from generators.base import ConfigError, DataError
from generators.data import ImageSet
from generators.label_rules import merge_labels
from generators.tables import column_of, read_cohort, read_public, resize_images

IMAGES, TABLE = "images.npz", "metadata.csv"
VERSION = re.compile(r"v?\d+(\.\d+)*")


@dataclass(frozen=True, kw_only=True)
class PublicRules:
    """What is taken from each source, and as what.

    permitted: licences, such as `CC BY`, which permits every version of that licence and no other licence.
    licence_column, label_column: of `metadata.csv`. licence: that of sources whose images state none of their own.
    merged: labels to the labels that they are taken in as.
    """

    size: int
    permitted: Sequence[str]
    licence_column: str = "license"
    licence: str = ""
    label_column: str | None = None
    merged: Mapping[str, str]


def build_public_set(sources: Sequence[Path], rules: PublicRules) -> ImageSet:
    """Images of folders (`images.npz`, `metadata.csv`) and `.npz` files whose licence is permitted, with their licence.

    An image without a licence is left out. Raises DataError where nothing is left of a source, or sources do not fit
    together; ConfigError where no licence is permitted.
    """
    if not sources or not rules.permitted:
        raise ConfigError("nothing to build from", where="public", remedy="name sources, and licences with --permit")
    return _joined([_permitted(source, rules) for source in sources], sources)


def is_permitted(licence: str, permitted: Sequence[str]) -> bool:
    """Equal to a permitted one but for case, hyphens and a version: `CC BY` permits `CC-BY-4.0`, never `CC BY-NC`."""
    words = _words(licence)
    for known in filter(None, map(_words, permitted)):
        version = words[len(known) :]
        if words[: len(known)] == known and (not version or (len(version) == 1 and VERSION.fullmatch(version[0]))):
            return True
    return False


def _words(licence: str) -> list[str]:
    return [word for word in re.split(r"[\s-]+", licence.lower()) if word]


def _permitted(source: Path, rules: PublicRules) -> ImageSet:
    images = _read(source, rules)
    words = [""] * len(images) if images.licence is None else images.licence.tolist()
    keep = np.array([is_permitted(word, rules.permitted) for word in words], dtype=bool)
    if not keep.any():
        found = ", ".join(sorted({word or "none stated" for word in words})[:6])
        raise DataError(
            f"no image has a permitted licence; found: {found}",
            where=str(source),
            remedy="permit one with --permit, or state the licence of a source without any with --licence",
        )
    return resize_images(merge_labels(images.select(keep), rules.merged), rules.size)


def _read(source: Path, rules: PublicRules) -> ImageSet:
    """The source with its licences; labels where it has them."""
    if source.is_dir():
        table = source / TABLE
        label = None if rules.label_column is None else column_of(table, rules.label_column)
        found = read_cohort(source / IMAGES, table)
        found = replace(found, label=label, licence=column_of(table, rules.licence_column))
    else:
        found = read_public(source)
    if found.licence is None and rules.licence:
        found = replace(found, licence=np.full(len(found), rules.licence))
    return ImageSet(images=found.images, label=found.label, licence=found.licence, bits=found.bits)


def _joined(parts: Sequence[ImageSet], sources: Sequence[Path]) -> ImageSet:
    first = parts[0]
    for part, source in zip(parts, sources, strict=True):
        if (part.channels, part.used_bits) != (first.channels, first.used_bits):
            raise DataError(
                f"holds {_kind(part)} images, {sources[0]} {_kind(first)}", where=str(source), remedy="build two sets"
            )
        if (part.label is None) != (first.label is None):
            raise DataError(
                f"one of it and {sources[0]} has labels", where=str(source), remedy="label both or neither (--label)"
            )
    return ImageSet(
        images=np.concatenate([part.images for part in parts]),
        label=None if first.label is None else np.concatenate([part.label for part in parts if part.label is not None]),
        licence=np.concatenate([part.licence for part in parts if part.licence is not None]),
        bits=first.bits,
    )


def _kind(images: ImageSet) -> str:
    return f"{images.used_bits}-bit {'grey' if images.channels == 1 else 'colour'}"
