"""Flagged pairs: a synthetic image and the training image that audits of copies found nearest to it.

Which pairs those are stands in the internal form of the report alone, and their pixels in encrypted stores: what is
read here is for the people who answer for the set, and never leaves the site (privacy.md 11).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audits.base import Law, ReleaseMode
from generators.tables import resize_images
from veilmark.audit_runs.models import AuditRun
from veilmark.audit_runs.reports import internal_report
from veilmark.cohorts.selectors import cohort_images
from veilmark.core.errors import IntegrityError, NotFoundError
from veilmark.synthetic_sets.final_files import as_8_bit, read_audited_image, white_of

NAMELESS = -1
GAP_GREY = 64
# Draws on demand are no images of the set, and another visit of a person is no copy: their audits have other rules.
COPIES = (Law.SINGLING_OUT, ReleaseMode.SAMPLES)


@dataclass(frozen=True, kw_only=True)
class FlaggedPair:
    """number: its place in this audit run, from 1. index: row of the synthetic set. train_row: row of the train arm,
    -1 where the audit named none. flagged_by: the detectors, in words.
    """

    number: int
    index: int
    train_row: int
    flagged_by: tuple[str, ...]


def flagged_pairs(run: AuditRun) -> list[FlaggedPair]:
    """Every flagged pair of a finished audit run, always in the same order."""
    return pairs_in(internal_report(run))


def flagged_pair(run: AuditRun, number: int) -> FlaggedPair:
    """Raises NotFoundError."""
    pairs = flagged_pairs(run)
    if not 1 <= number <= len(pairs):
        raise NotFoundError("there is no such pair", where=f"pair {number} of {run}", remedy=f"there are {len(pairs)}")
    return pairs[number - 1]


def pairs_in(internal: Mapping[str, Any]) -> list[FlaggedPair]:
    """The pairs in an internal form as JSON; one that two audits flagged is one pair."""
    detectors: dict[tuple[int, int], list[str]] = {}
    for row in internal["measurements"]:
        if (row.get("law"), row.get("release_mode")) != COPIES:
            continue
        nearest = row["internal"].get("nearest_train_index", {})
        for flag in row["flags"]:
            pair = flag["index"], nearest.get(str(flag["index"]), NAMELESS)
            detectors.setdefault(pair, []).append(flag["detector"])
    return [
        FlaggedPair(number=number, index=index, train_row=train_row, flagged_by=tuple(dict.fromkeys(names)))
        for number, ((index, train_row), names) in enumerate(sorted(detectors.items()), start=1)
    ]


def pair_png(run: AuditRun, pair: FlaggedPair) -> bytes:
    """The synthetic image, a dark gap, its nearest training image: as a bare 8-bit PNG at the size audited.

    The synthetic one is read from the file that was audited, the training one from the cohort's store, as the
    generator saw it. Raises IntegrityError where either is not what it was.
    """
    synthetic_set = run.synthetic_set
    audited = read_audited_image(synthetic_set, pair.index, content_root=run.content_root)
    ours, theirs = as_8_bit(audited, white=white_of(synthetic_set)), _training_image(run, pair)
    gap = np.full((ours.shape[0], max(2, ours.shape[1] // 16), *ours.shape[2:]), GAP_GREY, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([ours, gap, theirs], axis=1)).save(buffer, format="PNG")
    return buffer.getvalue()


def _training_image(run: AuditRun, pair: FlaggedPair) -> NDArray[np.uint8]:
    if pair.train_row == NAMELESS:
        raise IntegrityError("names no training image", where=f"pair {pair.number} of {run}", remedy="audit it anew")
    training = run.synthetic_set.training_run
    train = cohort_images(training.cohort).of_split("train")
    one = resize_images(train.select(np.array([pair.train_row])), training.image_size)
    return as_8_bit(one.images[0], white=one.max_value)
