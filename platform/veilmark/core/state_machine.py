"""State machines as tables: a row says who may go from one state to another, and which event the ledger records.

The documentation and the tests are generated from the same tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from veilmark.core.errors import StateError


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One arrow. `actor_roles` are role names, or "system"; `event` reads `release:published`."""

    source: str
    target: str
    actor_roles: tuple[str, ...]
    event: str
    guard: str = ""


def require_transition(table: Sequence[Transition], source: str, target: str, *, where: str = "") -> Transition:
    """The row from `source` to `target`. Raises StateError where the table has none."""
    for row in table:
        if (row.source, row.target) == (source, target):
            return row
    onward = sorted({row.target for row in table if row.source == source})
    remedy = f"from here it can become {', '.join(onward)}" if onward else "this state is final"
    raise StateError(f"cannot go from {source} to {target}", where=where, remedy=remedy)
