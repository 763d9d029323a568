"""Cells: who belongs to a group, and whether the group is large enough to be shown or judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audits.base import AuditInput
from generators.data import ImageSet, Strings

GROUPINGS = ("sex", "age_group", "site")
CROSSED = ("sex_and_age_group",)
MIN_SHOWN = 30
MIN_JUDGED = 100


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Groups by how many people they have: shown from 30, judged from 100, suppressed below 30."""

    shown: tuple[str, ...]
    judged: tuple[str, ...]
    suppressed: Mapping[str, int]

    @classmethod
    def of(cls, people: Mapping[str, int]) -> Cells:
        """people: how many each group has, in the arm or arms that count."""
        return cls(
            shown=tuple(name for name, n in people.items() if n >= MIN_SHOWN),
            judged=tuple(name for name, n in people.items() if n >= MIN_JUDGED),
            suppressed={name: n for name, n in people.items() if n < MIN_SHOWN},
        )

    @property
    def not_judged(self) -> list[str]:
        """Groups that are shown and too small for a verdict."""
        return [name for name in self.shown if name not in self.judged]

    @property
    def note(self) -> str:
        """Which groups are not judged or not shown; empty when all are."""
        small = {
            f"shown, not judged for fewer than {MIN_JUDGED} people": self.not_judged,
            f"not shown for fewer than {MIN_SHOWN} people": self.suppressed,
        }
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in small.items() if names)

    def cannot_judge(self, what: str = "groups") -> str:
        """Why there is no verdict, in one line."""
        reason = f"fewer than two {what} have {MIN_JUDGED} people"
        return "; ".join(part for part in (reason, self.note) if part)


def groupings_of(data: AuditInput, *, crossed: bool = True) -> list[str]:
    """What to group by: sex and age group always, the site where train knows it, and what is crossed."""
    known = [name for name in GROUPINGS if name != "site" or data.train.site is not None]
    return [*known, *CROSSED] if crossed else known


def parts_of(grouping: str) -> list[str]:
    """The columns that a grouping is made of."""
    return grouping.split("_and_")


def column_of(arm: ImageSet, grouping: str) -> Strings | None:
    """[N]: the group of each image, empty where a part is unknown; None where the arm lacks a column."""
    parts = [getattr(arm, name) for name in parts_of(grouping)]
    if any(part is None for part in parts):
        return None
    known = np.all([part != "" for part in parts], axis=0)
    joined = parts[0]
    for part in parts[1:]:
        joined = np.char.add(np.char.add(joined, " "), part)
    return np.where(known, joined, "")


def missing_column(grouping: str, **arms: ImageSet) -> str:
    """The first column that an arm lacks, as a reason; empty when all have all."""
    for name, arm in arms.items():
        for part in parts_of(grouping):
            if getattr(arm, part) is None:
                return f"{name} has no column {part}"
    return ""


def people_of(groups: Strings, subjects: Strings) -> dict[str, int]:
    """How many people each group has, by its name; unknown left out. groups, subjects: [N]."""
    names = sorted(set(groups.tolist()) - {""})
    return {name: len(np.unique(subjects[groups == name])) for name in names}
