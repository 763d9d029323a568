"""A worker's name is held by one process, and free once that process is gone."""

import pytest

from veilmark.core.errors import StateError
from veilmark.jobs.slots import N_SLOTS, acquire_any, dead_slots, slots

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_two_workers_never_share_a_name(var):
    first, second = slots(), slots()
    names = {acquire_any(first), acquire_any(second)}
    assert len(names) == 2
    with dead_slots(second, own=max(names)) as dead:
        assert not names & set(dead)
        assert len(dead) == N_SLOTS - 2
    first.release(min(names))
    with dead_slots(second, own=max(names)) as dead:
        assert min(names) in dead
        with pytest.raises(StateError, match="workers are running already"):
            acquire_any(slots())
    second.require_alive()
    second.release(max(names))
