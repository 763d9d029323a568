"""The page docs/release-states.md, made from the table by `manage.py release_states`."""

from __future__ import annotations

from veilmark.releases.states import TRANSITIONS

HEAD = """\
# Release states

Made from `releases/states.py` by `python manage.py release_states`; a test holds the two together.
Who: `system` is the platform itself, once the guard holds.

| from | to | who | guard | event |
|---|---|---|---|---|
"""


def states_page() -> str:
    """The whole page."""
    rows = (
        f"| {row.source} | {row.target} | {', '.join(row.actor_roles)} | {row.guard} | `{row.event}` |"
        for row in TRANSITIONS
    )
    return HEAD + "\n".join(rows) + "\n"
