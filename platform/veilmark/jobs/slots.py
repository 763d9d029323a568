"""Workers' names. A name is held by a lock that the kernel (or PostgreSQL) lets go when its holder dies, however it
dies, so "nobody holds the name" proves that the worker is dead and its work may be taken over.

On SQLite all workers share one machine, and the locks are files. On PostgreSQL workers may run on many, and the locks
are advisory ones of a session kept open for that alone.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

import psycopg
from django.conf import settings
from django.db import connection

from veilmark.core.errors import StateError

N_SLOTS = 16
ADVISORY_CLASS = 0x6A6F6273  # "jobs": keeps our numbers apart from other advisory locks


class Slots(Protocol):
    """`N_SLOTS` names, each held by one process at most."""

    def acquire(self, slot: int) -> bool: ...

    def release(self, slot: int) -> None: ...

    def require_alive(self) -> None:
        """Raises StateError where the locks may have been lost."""

    def close(self) -> None:
        """Let every name go."""


class FileSlots:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._held: dict[int, TextIO] = {}

    def acquire(self, slot: int) -> bool:
        stream = (self._folder / f"worker-{slot}.lock").open("w")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            return False
        self._held[slot] = stream
        return True

    def release(self, slot: int) -> None:
        self._held.pop(slot).close()

    def require_alive(self) -> None:
        """A file's lock lives as long as this process."""

    def close(self) -> None:
        for slot in list(self._held):
            self.release(slot)


class PostgresSlots:
    def __init__(self) -> None:
        self._session = psycopg.connect(settings.JOBS_DATABASE_URL.replace("+psycopg", ""), autocommit=True)

    def acquire(self, slot: int) -> bool:
        row = self._session.execute("SELECT pg_try_advisory_lock(%s, %s)", [ADVISORY_CLASS, slot]).fetchone()
        return bool(row and row[0])

    def release(self, slot: int) -> None:
        self._session.execute("SELECT pg_advisory_unlock(%s, %s)", [ADVISORY_CLASS, slot])

    def require_alive(self) -> None:
        try:
            self._session.execute("SELECT 1")
        except psycopg.OperationalError as error:
            remedy = "the worker ends so that another can take its jobs over; start it again"
            raise StateError("lost the database session that holds its name", where="worker", remedy=remedy) from error

    def close(self) -> None:
        self._session.close()


def slots() -> Slots:
    if connection.vendor == "postgresql":
        return PostgresSlots()
    return FileSlots(Path(settings.VEILMARK_VAR) / "jobs")


def executor_id(slot: int) -> str:
    return f"worker-{slot}"


def acquire_any(locks: Slots) -> int:
    """The first free name. Raises StateError where all are taken."""
    for slot in range(N_SLOTS):
        if locks.acquire(slot):
            return slot
    raise StateError(f"{N_SLOTS} workers are running already", where="worker", remedy="stop one of them")


@contextmanager
def dead_slots(locks: Slots, own: int) -> Iterator[list[int]]:
    """The names that nobody holds, held by us inside the block so that no new worker takes one meanwhile."""
    taken = [slot for slot in range(N_SLOTS) if slot != own and locks.acquire(slot)]
    try:
        yield taken
    finally:
        for slot in taken:
            locks.release(slot)
