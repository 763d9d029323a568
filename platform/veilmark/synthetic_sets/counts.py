"""How many images of which label and group: asked for in full, or spread evenly over what the generator knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from generators.base import CellCount
from generators.groups import AGE_GROUPS
from veilmark.core.errors import ApplicationError

MAX_IMAGES = 100_000
ADULTS = AGE_GROUPS[1:]  # children are drawn when they are asked for: few cohorts hold enough of them


def even_cells(card: Mapping[str, Any], n_images: int) -> list[CellCount]:
    """`n_images` spread evenly over labels, sexes and adult age groups of a generator card."""
    labels = card["labels"]
    sexes = card["sexes"] or [""]
    ages = [group for group in card["age_groups"] if group in ADULTS] or [""]
    cells = list(product(labels, sexes, ages))
    share, rest = divmod(n_images, len(cells))
    counts = (share + (position < rest) for position in range(len(cells)))
    return [
        CellCount(label=label, sex=sex, age_group=age, n=n)
        for (label, sex, age), n in zip(cells, counts, strict=True)
        if n
    ]


def parse_cells(rows: Sequence[Mapping[str, Any]]) -> list[CellCount]:
    """Cells as a person wrote them. Raises ApplicationError."""
    try:
        cells = [
            CellCount(
                label=str(row.get("label", "")),
                sex=str(row.get("sex", "")),
                age_group=str(row.get("age_group", "")),
                n=int(row["n"]),
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ApplicationError(
            "a row is no label, sex, age_group and n", where="counts", remedy="correct it"
        ) from error
    return cells


def require_size(cells: Sequence[CellCount]) -> int:
    """The total. Raises ApplicationError where it is nothing or too much."""
    total = sum(cell.n for cell in cells)
    if any(cell.n < 0 for cell in cells) or not 1 <= total <= MAX_IMAGES:
        raise ApplicationError(f"is {total}", where="number of images", remedy=f"ask for 1 to {MAX_IMAGES:,}")
    return total
