"""Flagged images beside their nearest training image, for the internal form of the report alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audits.pixels import Floats, Greys
from audits.stats import Doubles

MOST_PAIRS = 24
COLUMNS = 4
CELL = 96  # pixels a side
GAP = 6

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]


def pair_sheet(synthetic: Greys, train: Greys, pairs: Sequence[tuple[int, int]]) -> bytes:
    """A PNG: each flagged synthetic image with its training image to its right, at most 24 pairs, four a row.

    synthetic, train: grey [N, H, W] in [0, 1]; pairs: their indices. Real people can be recognised: never publish it.
    """
    shown = pairs[:MOST_PAIRS]
    n_rows = max(1, -(-len(shown) // COLUMNS))
    width, height = COLUMNS * (2 * CELL + 2 * GAP), n_rows * (CELL + GAP)
    sheet = Image.new("L", (width, height), 255)
    for place, (ours, theirs) in enumerate(shown):
        top, left = place // COLUMNS * (CELL + GAP), place % COLUMNS * (2 * CELL + 2 * GAP)
        sheet.paste(_cell(synthetic[ours : ours + 1]), (left, top))
        sheet.paste(_cell(train[theirs : theirs + 1]), (left + CELL, top))
    stream = io.BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()


def shown_pairs(
    flagged: Mask,
    nearest: Rows,
    score: Floats | Doubles,
    synthetic: Greys,
    train: Greys,
    *,
    names: Rows | None = None,
) -> dict[str, object]:
    """What a person needs to confirm or dismiss flags: the training image of each, and a sheet of those of most score.

    flagged, nearest, score: [Q], of the synthetic images [Q, H, W]; nearest: rows of train. names: index [Q] of each in
    the set that was handed in, where some were left out. Internal.
    """
    rows = np.flatnonzero(flagged)
    at = np.arange(len(flagged)) if names is None else names
    shown: dict[str, object] = {"nearest_train_index": {int(at[i]): int(nearest[i]) for i in rows}}
    if len(rows):
        first = rows[np.argsort(-score[rows], kind="stable")]
        shown["sheet"] = as_text(pair_sheet(synthetic, train, [(int(i), int(nearest[i])) for i in first]))
    return shown


def as_text(png: bytes) -> str:
    """The PNG in base64, as a report holds it."""
    return base64.b64encode(png).decode("ascii")


def _cell(images: Floats) -> Image.Image:
    """The only one of images [1, H, W]."""
    pixels = np.round(np.clip(images[0], 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.BILINEAR)
