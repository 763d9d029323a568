"""Appending to a log: tiles first, the signed checkpoint last, so that a process that dies leaves the old log valid.

Entries and tiles of a new size lie beside those of the old one and count for nothing until a checkpoint signs them.
Writing `checkpoints/<size>` is the moment of truth: nothing is ever signed that contradicts it, also where the process
dies before `checkpoint` follows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from veilmark.crypto.base import Signer
from veilmark.provenance.atomic import write_atomically
from veilmark.provenance.errors import LogError
from veilmark.provenance.log.checkpoint import Checkpoint
from veilmark.provenance.log.entries import pack_entries
from veilmark.provenance.log.reader import EARLIER_NAME, HEAD_NAME, LogFolder, Logged
from veilmark.provenance.log.tiles import WIDTH, TiledTree, entries_path, fold, tile_path
from veilmark.provenance.merkle import EMPTY_ROOT, leaf_hash

_LOCK_SECONDS = 120.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class TransparencyLog:
    """The log in `folder`, written by one process at a time. `signer`: Ed25519.

    `origin` names a log that is still empty, as `hospital.example/log`; a log with entries keeps its own.
    """

    folder: Path
    signer: Signer
    origin: str

    @property
    def reader(self) -> LogFolder:
        """The same folder, to make proofs from."""
        return LogFolder(self.folder)

    def append(self, entries: Sequence[bytes]) -> Logged:
        """Add entries and sign the new size. Entries that the log ends with already are not added again, so that a
        job which is tried anew leaves them once. Raises ProvenanceError, also where the log on disk is damaged."""
        if not entries:
            raise LogError("no entries were given", where=str(self.folder))
        with _one_writer(self.folder):
            head = self.reader.head() or Checkpoint(origin=self.origin, size=0, root=EMPTY_ROOT)
            if self.reader.root(head.size) != head.root:
                raise LogError(
                    f"its tiles do not lead to its checkpoint of {head.size} entries",
                    where=str(self.folder),
                    remedy="restore the folder from a copy",
                )
            start = head.size - len(entries)
            if start >= 0 and self.reader.entries(start, head.size, size=head.size) == list(entries):
                self._publish(head.size)
            else:
                start = head.size
                self._grow(head, entries)
            end = start + len(entries)
        return Logged(start=start, end=end, checkpoint=self.reader.checkpoint(end))

    def _grow(self, head: Checkpoint, entries: Sequence[bytes]) -> None:
        self._write_entries(head.size, entries)
        self._write_tiles(head.size, [leaf_hash(entry) for entry in entries])
        size = head.size + len(entries)
        os.sync()  # all of the tree is on disk before a signature says that it is
        checkpoint = Checkpoint(origin=head.origin, size=size, root=self.reader.root(size))
        write_atomically(self.folder / EARLIER_NAME / str(size), checkpoint.signed(self.signer))
        self._publish(size)

    def _publish(self, size: int) -> None:
        write_atomically(self.folder / HEAD_NAME, self.reader.checkpoint(size))

    def _write_entries(self, n_old: int, entries: Sequence[bytes]) -> None:
        first = n_old // WIDTH
        rows = [*self.reader.entries(first * WIDTH, n_old, size=n_old), *entries]
        for index, row in enumerate(_rows(rows), first):
            write_atomically(self.folder / entries_path(index, len(row)), pack_entries(row), durable=False)

    def _write_tiles(self, n_old: int, hashes: list[bytes]) -> None:
        """Level by level: what filled a tile is folded into one more hash of the level above."""
        tree, level = TiledTree(self.reader.read, n_old), 0
        while hashes:
            first, partial = divmod(n_old >> (8 * level), WIDTH)
            if partial:
                hashes = tree.tile(level, first) + hashes
            rows = list(_rows(hashes))
            for index, row in enumerate(rows, first):
                path = self.folder / tile_path(level, index, len(row))
                write_atomically(path, b"".join(row), durable=False)
            hashes = [fold(row) for row in rows if len(row) == WIDTH]
            level += 1


def _rows(items: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (items[i : i + WIDTH] for i in range(0, len(items), WIDTH))


@contextmanager
def _one_writer(folder: Path) -> Iterator[None]:
    """A lock that the kernel takes back from a process that dies. Raises LogError where another holds it long."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("w")
    except OSError as error:
        raise LogError(f"cannot be written ({error.strerror})", where=str(folder)) from error
    with stream:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _try_lock(stream.fileno()):
            if time.monotonic() > deadline:
                remedy = "wait until the other process has ended"
                raise LogError("another process is writing the log", where=str(folder), remedy=remedy)
            time.sleep(_POLL_SECONDS)
        yield


def _try_lock(handle: int) -> bool:
    import fcntl  # noqa: PLC0415 - only writers need it, and verifiers may run where there is none

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
