"""A worker's name is held by one process, and free once that process is gone."""

import time
from contextlib import closing

import pytest
from django.db import connection

from veilmark.core.errors import StateError
from veilmark.jobs.slots import N_SLOTS, PostgresSlots, Slots, acquire_any, dead_slots, slots

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def dead_names(locks: Slots) -> list[int]:
    with dead_slots(locks, own=-1) as dead:
        return dead


def test_two_workers_never_share_a_name(var):
    with closing(slots()) as first, closing(slots()) as second, closing(slots()) as third:
        names = {acquire_any(first), acquire_any(second)}
        assert len(names) == 2
        with dead_slots(second, own=max(names)) as dead:
            assert not names & set(dead)
            assert len(dead) == N_SLOTS - 2
            with pytest.raises(StateError, match="workers are running already"):
                acquire_any(third)
        first.close()
        deadline = time.monotonic() + 30  # PostgreSQL ends a session a moment after its client is gone
        while min(names) not in (dead := dead_names(third)):
            assert time.monotonic() < deadline
        assert max(names) not in dead
        second.require_alive()


def test_a_worker_that_lost_its_session_does_not_go_on(var):
    if connection.vendor != "postgresql":
        pytest.skip("a file's lock cannot be lost")
    with closing(slots()) as held:
        assert isinstance(held, PostgresSlots)
        acquire_any(held)
        pid = held._session.info.backend_pid  # this one alone: other tests share the server
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(StateError, match="lost the database session"):
            held.require_alive()
