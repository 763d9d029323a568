"""Checking a whole copy of a log, as a monitor does: entries, tiles, checkpoints, and that it only ever grew."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from veilmark.provenance.errors import ProvenanceError
from veilmark.provenance.identity import Identity
from veilmark.provenance.log.checkpoint import Checkpoint, verify_checkpoint
from veilmark.provenance.log.entries import unpack_entries
from veilmark.provenance.log.reader import EARLIER_NAME, HEAD_NAME, LogFolder
from veilmark.provenance.log.tiles import WIDTH, TiledTree, entries_path, fold, split_hashes, tile_path, widths
from veilmark.provenance.merkle import leaf_hash, root_of_range
from veilmark.provenance.verdict import Problem


def check_log(
    log: LogFolder, identities: Collection[Identity], *, seen: Collection[Checkpoint] = ()
) -> Iterator[Problem]:
    """What is wrong with which file: every entry is hashed, every tile folded, every checkpoint's root compared.

    `seen` are checkpoints that the caller got at other times: the log must begin with each of them.
    """
    signed: dict[str, Checkpoint] = {}
    for name in [*(f"{EARLIER_NAME}/{size}" for size in log.sizes()), HEAD_NAME]:
        try:
            signed[name] = verify_checkpoint(log.read(name), identities, where=name)
        except ProvenanceError as error:
            yield Problem(where=name, what=error.what)
    if not signed:
        return
    head = max(signed.values(), key=lambda checkpoint: checkpoint.size)
    if HEAD_NAME in signed and signed[HEAD_NAME].size < head.size:
        what = f"rolled back to {signed[HEAD_NAME].size} entries from {head.size}"
        yield Problem(where=HEAD_NAME, what=what)
    for name, checkpoint in [*signed.items(), *((HEAD_NAME, checkpoint) for checkpoint in seen)]:
        yield from _history_problems(log, name, checkpoint, head)
    yield from _tile_problems(log, head)


def _history_problems(log: LogFolder, name: str, checkpoint: Checkpoint, head: Checkpoint) -> Iterator[Problem]:
    """The root of an earlier size, from the head's own tiles: as both come from one set of leaves, no proof is due."""
    if checkpoint.origin != head.origin:
        yield Problem(where=name, what=f"is of the log {checkpoint.origin}, not {head.origin}")
    elif checkpoint.size > head.size:
        yield Problem(where=name, what=f"rolled back to {head.size} entries from {checkpoint.size}")
    elif _root(log, checkpoint.size, head.size) != checkpoint.root:
        yield Problem(where=name, what=f"forked: the tiles do not lead to its root over {checkpoint.size} entries")


def _root(log: LogFolder, size: int, head_size: int) -> bytes:
    try:
        return root_of_range(TiledTree(log.read, head_size).node, 0, size)
    except ProvenanceError:
        return b""


def _tile_problems(log: LogFolder, head: Checkpoint) -> Iterator[Problem]:
    below: list[bytes] = []
    level = 0
    while rows := widths(head.size, level):
        hashes: list[bytes] = []
        for index, width in enumerate(rows):
            name = tile_path(level, index, width)
            try:
                tile = split_hashes(log.read(name), width, where=name)
            except ProvenanceError as error:
                yield Problem(where=name, what=error.what)
                tile = [b""] * width
            if level == 0:
                yield from _entry_problems(log, index, tile)
            elif tile != below[index * WIDTH : index * WIDTH + width]:
                yield Problem(where=name, what="does not hold the roots of the tiles below it")
            if width == WIDTH:
                hashes.append(fold(tile))
        below, level = hashes, level + 1


def _entry_problems(log: LogFolder, index: int, tile: list[bytes]) -> Iterator[Problem]:
    name = entries_path(index, len(tile))
    try:
        entries = unpack_entries(log.read(name), where=name)
    except ProvenanceError as error:
        yield Problem(where=name, what=error.what)
        return
    if [leaf_hash(entry) for entry in entries] != tile:
        tile_name = tile_path(0, index, len(tile))
        yield Problem(where=name, what=f"does not hold the entries of {tile_name}")
        yield Problem(where=tile_name, what=f"does not hold the hashes of {name}")
