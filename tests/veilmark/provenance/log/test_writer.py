"""Appending: what is on disk is a valid log at every moment, whoever dies and whoever else writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from veilmark.provenance.errors import FormatError, LogError
from veilmark.provenance.log.checkpoint import parse_checkpoint, verify_checkpoint
from veilmark.provenance.log.entries import pack_entries, unpack_entries
from veilmark.provenance.log.monitor import check_log
from veilmark.provenance.log.tiles import entries_path, tile_path, widths
from veilmark.provenance.log.writer import TransparencyLog
from veilmark.provenance.merkle import MerkleTree


def numbered(start: int, end: int) -> list[bytes]:
    return [b"entry %d" % i for i in range(start, end)]


@pytest.mark.parametrize(
    ("index", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (1234067, 256, "tile/0/x001/x234/067"),
        (273, 112, "tile/0/273.p/112"),
        (1000, 1, "tile/0/x001/000.p/1"),
    ],
)
def test_tiles_lie_where_the_format_says(index: int, width: int, path: str) -> None:
    assert tile_path(0, index, width) == path
    assert entries_path(index, width) == path.replace("tile/0", "tile/entries")


def test_a_tree_of_70000_has_the_tiles_of_the_formats_example() -> None:
    assert [(len(widths(70_000, level)), widths(70_000, level)[-1]) for level in range(3)] == [
        (274, 112),
        (2, 17),
        (1, 1),
    ]
    assert widths(70_000, 3) == []
    assert (widths(256, 0), widths(256, 1)) == ([256], [1])


@pytest.mark.parametrize("sizes", [[1], [255, 1, 1], [256, 256], [300, 300, 7], [3, 65_600]])
def test_the_root_is_that_of_all_entries(log: TransparencyLog, trusted, sizes: list[int]) -> None:
    end = 0
    for size in sizes:
        logged = log.append(numbered(end, end + size))
        assert (logged.start, logged.end) == (end, end + size)
        end += size
        checkpoint = verify_checkpoint(logged.checkpoint, trusted, where="checkpoint")
        assert (checkpoint.size, checkpoint.root) == (end, MerkleTree(numbered(0, end)).root)
        assert log.reader.read("checkpoint") == logged.checkpoint
    assert log.reader.entries(0, end, size=end) == numbered(0, end)
    assert list(check_log(log.reader, trusted)) == []


def test_what_was_appended_last_is_not_appended_again(log: TransparencyLog) -> None:
    log.append(numbered(0, 3))
    first = log.append(numbered(3, 9))
    assert log.append(numbered(3, 9)) == first
    assert log.append(numbered(0, 3)).end == 12


def test_a_log_keeps_its_origin(log: TransparencyLog, trusted) -> None:
    log.append([b"a"])
    logged = replace(log, origin="elsewhere.example/log").append([b"b"])
    assert verify_checkpoint(logged.checkpoint, trusted, where="c").origin == "hospital.example/log"


def test_what_a_dead_writer_left_counts_for_nothing(log: TransparencyLog, trusted) -> None:
    """Tiles of entries that no checkpoint signs lie about; other entries come instead."""
    log.append(numbered(0, 200))
    before = shutil.copytree(log.folder, log.folder.with_name("before"))
    log.append(numbered(200, 600))
    for name in ("checkpoint", "checkpoints"):
        path = log.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        (shutil.copytree if path.suffix == "" and (before / name).is_dir() else shutil.copy)(before / name, path)
    assert list(check_log(log.reader, trusted)) == []
    logged = log.append([b"other %d" % i for i in range(300)])
    expected = MerkleTree([*numbered(0, 200), *(b"other %d" % i for i in range(300))]).root
    assert verify_checkpoint(logged.checkpoint, trusted, where="c").root == expected
    assert list(check_log(log.reader, trusted)) == []


def test_a_signed_size_is_never_taken_back(log: TransparencyLog, trusted) -> None:
    """Dead between the signed checkpoint and its publication: the next writer goes on from what was signed."""
    log.append(numbered(0, 5))
    head = (log.folder / "checkpoint").read_bytes()
    log.append(numbered(5, 9))
    (log.folder / "checkpoint").write_bytes(head)
    assert log.append([b"next"]).start == 9
    assert list(check_log(log.reader, trusted)) == []


def test_a_damaged_log_does_not_grow(log: TransparencyLog) -> None:
    log.append(numbered(0, 300))
    path = log.folder / tile_path(1, 0, 1)
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(LogError, match="do not lead to its checkpoint"):
        log.append([b"more"])


def test_nothing_and_too_much_are_refused(log: TransparencyLog) -> None:
    with pytest.raises(LogError, match="no entries"):
        log.append([])
    with pytest.raises(FormatError, match="larger than 65535"):
        log.append([bytes(65_536)])
    assert not (log.folder / "checkpoint").exists()


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x05abc", b"\x00\x01a\x01"])
def test_a_torn_entry_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="ends within"):
        unpack_entries(data, where="x")


def test_entries_of_any_length_come_back() -> None:
    entries = [b"", b"a", bytes(65_535)]
    assert unpack_entries(pack_entries(entries), where="x") == entries


def test_writers_take_turns(log: TransparencyLog, trusted) -> None:
    threads = [threading.Thread(target=log.append, args=([b"%d" % i] * (i + 1),)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    head = parse_checkpoint(log.reader.read("checkpoint"), where="c")
    assert head.size == 21
    assert sorted(log.reader.entries(0, 21, size=21)) == sorted(b"%d" % i for i in range(6) for _ in range(i + 1))
    assert list(check_log(log.reader, trusted)) == []


@pytest.fixture
def killer() -> Iterator[Callable[[TransparencyLog, int, float], bool]]:
    """Let a writer append from an entry's number on, and kill it so many seconds after its first append."""
    command = [sys.executable, str(Path(__file__).with_name("killed_writers.py"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdin
        assert process.stdout

        def kill(log: TransparencyLog, start: int, delay: float) -> bool:
            process.stdin.write(json.dumps({"folder": str(log.folder), "start": start, "delay": delay}) + "\n")
            process.stdin.flush()
            return bool(json.loads(process.stdout.readline()))

        yield kill
        process.stdin.close()


def problems_after_kills(log: TransparencyLog, trusted, kill, *, times: int) -> tuple[list[str], int]:
    """What is wrong with a log whose writers were killed one after the other, and how many died inside an append."""
    size, n_inside, problems = 0, 0, []
    for attempt in range(times):
        n_inside += kill(log, size, attempt % 17 * 0.001)
        head = log.reader.head()
        found = [str(problem) for problem in check_log(log.reader, trusted)]
        # Dead between a signed size and its publication: what is published is the older log, whole.
        problems += [problem for problem in found if not problem.startswith("checkpoint: rolled back")]
        if head is None or head.size <= size:
            problems.append(f"kill {attempt}: a finished append is gone")
            break
        size = head.size
    log.append([b"last"])
    problems += map(str, check_log(log.reader, trusted, seen=[head] if head else []))
    if log.reader.entries(0, size, size=size + 1) != numbered(0, size):
        problems.append("the entries are not those that were appended")
    return problems, n_inside


def test_a_killed_writer_leaves_a_valid_log(log: TransparencyLog, trusted, killer) -> None:
    problems, _ = problems_after_kills(log, trusted, killer, times=4)
    assert problems == []


@pytest.mark.proofs
@pytest.mark.parametrize("_round", range(10))
def test_two_hundred_killed_writers_leave_a_valid_log(log: TransparencyLog, trusted, killer, _round: int) -> None:
    """Ten logs of twenty kills each: a log that is checked whole after every kill must not grow for ever."""
    problems, n_inside = problems_after_kills(log, trusted, killer, times=20)
    assert problems == []
    assert n_inside >= 5
