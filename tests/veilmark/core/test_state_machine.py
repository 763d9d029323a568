import pytest

from veilmark.core.errors import StateError
from veilmark.core.state_machine import Transition, require_transition

TABLE = (
    Transition(source="draft", target="ready", actor_roles=("custodian",), event="thing:prepared"),
    Transition(source="ready", target="gone", actor_roles=("system",), event="thing:removed"),
)
STATES = ("draft", "ready", "gone")


@pytest.mark.parametrize("source", STATES)
@pytest.mark.parametrize("target", STATES)
def test_exactly_the_rows_of_the_table_are_allowed(source, target):
    rows = [row for row in TABLE if (row.source, row.target) == (source, target)]
    if rows:
        assert require_transition(TABLE, source, target) is rows[0]
    else:
        with pytest.raises(StateError, match=f"cannot go from {source} to {target}"):
            require_transition(TABLE, source, target, where="thing 1")


def test_the_refusal_says_what_is_possible():
    with pytest.raises(StateError, match="it can become ready"):
        require_transition(TABLE, "draft", "gone")
    with pytest.raises(StateError, match="final"):
        require_transition(TABLE, "gone", "draft")
