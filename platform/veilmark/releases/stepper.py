"""The line from draft to released, drawn from the table of transitions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache

from veilmark.core.state_machine import Transition
from veilmark.releases.states import TRANSITIONS, ReleaseState


@dataclass(frozen=True, kw_only=True)
class Step:
    """status: done, current or ahead, as seen from the release's state."""

    state: ReleaseState
    status: str


@cache
def main_line() -> tuple[ReleaseState, ...]:
    """The shortest way from DRAFT to RELEASED through the table."""
    ways: deque[tuple[ReleaseState, ...]] = deque([(ReleaseState.DRAFT,)])
    seen = {ReleaseState.DRAFT}
    while ways:
        way = ways.popleft()
        if way[-1] == ReleaseState.RELEASED:
            return way
        for row in moves_from(way[-1]):
            target = ReleaseState(row.target)
            if target not in seen:
                seen.add(target)
                ways.append((*way, target))
    raise AssertionError("the table has no way from draft to released")


def moves_from(state: str) -> list[Transition]:
    return [row for row in TRANSITIONS if row.source == state]


def steps_of(state: str, previous: str) -> list[Step]:
    """The main line as seen from `state`. Off the line (failed, withdrawn ...) it is drawn up to `previous`, the last
    state before, and the state itself stands where the line was left."""
    line = main_line()
    states = [member.value for member in line]
    if state in states:
        position = states.index(state)
        shown = list(line)
    else:
        kept = states.index(previous) + 1 if previous in states else 1
        position = kept
        shown = [*line[:kept], ReleaseState(state)]
    ends = state == ReleaseState.RELEASED
    return [
        Step(
            state=member,
            status="done" if i < position or (ends and i == position) else "current" if i == position else "ahead",
        )
        for i, member in enumerate(shown)
    ]
