"""Reading a log's folder, or a copy of it: the last checkpoint, entries, and proofs made from tiles alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veilmark.provenance.errors import FileError
from veilmark.provenance.log.checkpoint import Checkpoint, parse_checkpoint
from veilmark.provenance.log.entries import unpack_entries
from veilmark.provenance.log.tiles import WIDTH, TiledTree, entries_path
from veilmark.provenance.merkle import consistency_proof, inclusion_proof, range_proof, root_of_range

HEAD_NAME = "checkpoint"
EARLIER_NAME = "checkpoints"  # one file a checkpoint, named by its size; no part of the C2SP format
MAX_FILE_BYTES = 1 << 25  # 256 entries of 64 kB


@dataclass(frozen=True, kw_only=True)
class Logged:
    """Entries [start, end) of a log; `checkpoint` is the signed one of size `end`."""

    start: int
    end: int
    checkpoint: bytes


class LogFolder:
    """A log as it lies in `folder`. What it says is unverified: a checkpoint's signature and a proof's check decide."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes:
        """One file. Raises FileError."""
        path = self._folder / name
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise FileError(f"is larger than {MAX_FILE_BYTES} bytes", where=name)
            return path.read_bytes()
        except FileNotFoundError as error:
            raise FileError("is missing", where=name) from error
        except OSError as error:
            raise FileError(f"cannot be read ({error.strerror})", where=name) from error

    def sizes(self) -> list[int]:
        """The sizes of all checkpoints that were signed, rising."""
        names = (path.name for path in (self._folder / EARLIER_NAME).glob("[0-9]*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def checkpoint(self, size: int) -> bytes:
        """The signed checkpoint of that size. Raises FileError."""
        return self.read(f"{EARLIER_NAME}/{size}")

    def head(self) -> Checkpoint | None:
        """The last checkpoint that was signed; None of an empty log. Raises FileError, FormatError."""
        sizes = self.sizes()
        name = f"{EARLIER_NAME}/{sizes[-1]}" if sizes else ""
        return parse_checkpoint(self.read(name), where=name) if name else None

    def entries(self, start: int, end: int, *, size: int) -> list[bytes]:
        """Entries [start, end) of the log when it had `size`. Raises ProvenanceError."""
        found: list[bytes] = []
        first = start // WIDTH
        for index in range(first, -(-end // WIDTH)):
            name = entries_path(index, min(WIDTH, size - index * WIDTH))
            found += unpack_entries(self.read(name), where=name)
        return found[start - first * WIDTH : end - first * WIDTH]

    def root(self, size: int) -> bytes:
        """The Merkle tree hash over the first `size` entries. Raises ProvenanceError."""
        return root_of_range(TiledTree(self.read, size).node, 0, size)

    def inclusion_proof(self, index: int, *, size: int) -> list[bytes]:
        """That entry `index` is in the log of `size` entries (RFC 9162, 2.1.3). Raises ProvenanceError."""
        return inclusion_proof(TiledTree(self.read, size).node, index, size)

    def range_proof(self, start: int, end: int, *, size: int) -> list[bytes]:
        """That entries [start, end) are in the log of `size` entries. Raises ProvenanceError."""
        return range_proof(TiledTree(self.read, size).node, start, end, size)

    def consistency_proof(self, n_old: int, *, size: int) -> list[bytes]:
        """That the log of `size` entries begins with that of `n_old` (RFC 9162, 2.1.4). Raises ProvenanceError."""
        return consistency_proof(TiledTree(self.read, size).node, n_old, size)

    def consistency_proofs(self, earlier: Sequence[int], *, size: int) -> list[list[bytes]]:
        """One for each of the `earlier` sizes, every tile read once. Raises ProvenanceError."""
        tree = TiledTree(self.read, size)
        return [consistency_proof(tree.node, n_old, size) for n_old in earlier]
