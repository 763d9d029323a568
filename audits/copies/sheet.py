"""Flagged images beside their nearest training image, for the internal form of the report alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from audits.pixels import Floats

MOST_PAIRS = 24
COLUMNS = 4
CELL = 96  # pixels a side
GAP = 6


def pair_sheet(synthetic: Floats, train: Floats, pairs: Sequence[tuple[int, int]]) -> bytes:
    """A PNG: each flagged synthetic image with its training image to its right, at most 24 pairs, four a row.

    synthetic, train: grey [N, H, W] in [0, 1]; pairs: their indices. Real people can be recognised: never publish it.
    """
    shown = pairs[:MOST_PAIRS]
    n_rows = max(1, -(-len(shown) // COLUMNS))
    width, height = COLUMNS * (2 * CELL + 2 * GAP), n_rows * (CELL + GAP)
    sheet = Image.new("L", (width, height), 255)
    for place, (ours, theirs) in enumerate(shown):
        top, left = place // COLUMNS * (CELL + GAP), place % COLUMNS * (2 * CELL + 2 * GAP)
        sheet.paste(_cell(synthetic[ours]), (left, top))
        sheet.paste(_cell(train[theirs]), (left + CELL, top))
    stream = io.BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()


def as_text(png: bytes) -> str:
    """The PNG in base64, as a report holds it."""
    return base64.b64encode(png).decode("ascii")


def _cell(image: Floats) -> Image.Image:
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.BILINEAR)
