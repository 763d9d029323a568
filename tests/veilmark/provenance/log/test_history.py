"""Whatever is changed in a log is found: in its files by a monitor, in its history by whoever kept a checkpoint."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from veilmark.provenance.log.checkpoint import Checkpoint, parse_checkpoint, verify_checkpoint
from veilmark.provenance.log.monitor import check_log
from veilmark.provenance.log.proof import EarlierState, LogProof, grew_from, parse_log_proof
from veilmark.provenance.log.seen import History, SeenCheckpoint
from veilmark.provenance.log.writer import TransparencyLog
from veilmark.provenance.merkle import MerkleTree, consistency_proof

N_EDITS = 10_000


def rewritten(entries: list[bytes], n_seen: int, rng: random.Random) -> list[bytes]:
    """The log with an entry among the seen ones edited, deleted, or put elsewhere."""
    changed = list(entries)
    at = rng.randrange(n_seen)
    match rng.choice(("edit", "delete", "reorder")):
        case "edit":
            changed[at] += b"!"
        case "delete":
            del changed[at]
        case "reorder":
            changed.insert(rng.choice([i for i in range(n_seen) if i != at]), changed.pop(at))
    return changed


def find_rewritten_histories(n_edits: int) -> int:
    """A forger with the log's own key makes the best consistency proof there is for the rewritten log."""
    rng, n_found = random.Random(1), 0  # noqa: S311 - the same edits each time
    for _ in range(n_edits):
        n_seen = rng.randint(2, 40)
        entries = [b"%d" % i for i in range(n_seen + rng.randint(1, 40))]
        seen = Checkpoint(origin="o", size=n_seen, root=MerkleTree(entries[:n_seen]).root)
        tree = MerkleTree(rewritten(entries, n_seen, rng))
        given = Checkpoint(origin="o", size=len(tree), root=tree.root)
        honest = MerkleTree(entries)
        assert grew_from(
            Checkpoint(origin="o", size=len(honest), root=honest.root),
            seen,
            consistency_proof(honest.node, n_seen, len(honest)),
        )
        proof = consistency_proof(tree.node, min(n_seen, len(tree)), len(tree))
        n_found += not grew_from(given, seen, proof)
    return n_found


def test_rewritten_histories_are_found() -> None:
    assert find_rewritten_histories(400) == 400


@pytest.mark.proofs
def test_ten_thousand_rewritten_histories_are_found() -> None:
    assert find_rewritten_histories(N_EDITS) == N_EDITS


def find_changed_files(folder: Path, trusted, n_edits: int) -> int:
    """Bits flipped, bytes cut, files deleted, exchanged: the monitor names the file."""
    rng, n_found = random.Random(2), 0  # noqa: S311 - the same edits each time
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if is_of_the_head(name)]
    original = {name: (folder / name).read_bytes() for name in names}
    monitored = TransparencyLog(folder=folder, signer=None, origin="").reader  # type: ignore[arg-type]
    assert list(check_log(monitored, trusted)) == []
    for _ in range(n_edits):
        name, other = rng.sample(names, 2)
        data = bytearray(original[name])
        match rng.choice(("flip", "cut", "delete", "exchange")):
            case "flip":
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                (folder / name).write_bytes(data)
            case "cut":
                (folder / name).write_bytes(data[: rng.randrange(len(data))])
            case "delete":
                (folder / name).unlink()
            case "exchange" if original[name] != original[other]:
                (folder / name).write_bytes(original[other])
                (folder / other).write_bytes(original[name])
            case _:
                n_found += 1
                continue
        n_found += name in {problem.where for problem in check_log(monitored, trusted)}
        for changed in (name, other):
            (folder / changed).write_bytes(original[changed])
    return n_found


def is_of_the_head(name: str) -> bool:
    """Partial tiles and checkpoints of earlier sizes are no part of the log as its last checkpoint signs it."""
    is_earlier = ".p/" in name and name.rsplit("/", 1)[-1] not in {"44", "1"}
    return not is_earlier and not name.startswith((".", "checkpoints/"))


@pytest.fixture
def grown(log: TransparencyLog) -> TransparencyLog:
    log.append([b"%d" % i for i in range(150)])
    log.append([b"%d" % i for i in range(150, 300)])
    return log


def test_changed_files_are_named(grown: TransparencyLog, trusted) -> None:
    assert find_changed_files(grown.folder, trusted, 150) == 150


@pytest.mark.proofs
def test_ten_thousand_changed_files_are_named(grown: TransparencyLog, trusted) -> None:
    assert find_changed_files(grown.folder, trusted, N_EDITS) == N_EDITS


def test_a_monitor_notices_a_rollback_and_a_fork(grown: TransparencyLog, trusted, signer, tmp_path: Path) -> None:
    seen = parse_checkpoint(grown.reader.read("checkpoint"), where="c")
    other = TransparencyLog(folder=tmp_path / "other", signer=signer.ed25519, origin=grown.origin)
    other.append([b"%d" % i for i in range(150)])
    assert {problem.what for problem in check_log(other.reader, trusted, seen=[seen])} == {
        "rolled back to 150 entries from 300"
    }
    other.append([b"x%d" % i for i in range(200)])
    problems = list(check_log(other.reader, trusted, seen=[seen]))
    assert [problem.where for problem in problems] == ["checkpoint"]
    assert "forked" in problems[0].what


def logged_state(log: TransparencyLog, entries: list[bytes], trusted) -> tuple[Checkpoint, LogProof]:
    logged = log.append(entries)
    proof = parse_log_proof(LogProof.of(log.reader, logged).to_bytes(), where="p")
    checkpoint = verify_checkpoint(logged.checkpoint, trusted, where="c")
    assert proof.holds(entries, checkpoint)
    return checkpoint, proof


def test_a_releases_proof_holds_for_its_entries_in_their_order_alone(grown: TransparencyLog, trusted) -> None:
    entries = [b"of the release %d" % i for i in range(100)]
    checkpoint, proof = logged_state(grown, entries, trusted)
    assert len(proof.hashes) <= 2 * checkpoint.size.bit_length()
    assert [state.size for state in proof.earlier] == [150, 300]
    for wrong in ([*entries[1:], entries[0]], entries[1:], [*entries, b"x"], [*entries[:-1], b"x"], []):
        assert not proof.holds(wrong, checkpoint)
    moved = LogProof(start=proof.start + 1, hashes=proof.hashes, earlier=())
    assert not moved.holds(entries, checkpoint)
    longer = LogProof(start=proof.start, hashes=[*proof.hashes, bytes(32)], earlier=())
    assert not longer.holds(entries, checkpoint)


def test_what_was_seen_before_decides(grown: TransparencyLog, trusted, signer, tmp_path: Path) -> None:
    old = tmp_path / "seen-150"
    shutil.copy(grown.folder / "checkpoints" / "150", old)
    given, proof = logged_state(grown, [b"a", b"b"], trusted)
    assert SeenCheckpoint(path=old).compare(given, proof, trusted) == (History.GROWN, "")
    assert SeenCheckpoint(path=grown.folder / "checkpoint").compare(given, proof, trusted) == (History.GROWN, "")
    unlisted = LogProof(start=proof.start, hashes=proof.hashes, earlier=proof.earlier[1:])
    assert SeenCheckpoint(path=old).compare(given, unlisted, trusted)[0] is History.UNPROVED
    wrong = LogProof(start=0, hashes=(), earlier=[EarlierState(size=150, hashes=proof.earlier[1].hashes)])
    assert SeenCheckpoint(path=old).compare(given, wrong, trusted)[0] is History.FORKED
    later = grown.append([b"later"])
    alone = tmp_path / "seen-303"
    alone.write_bytes(later.checkpoint)
    assert SeenCheckpoint(path=alone).compare(given, proof, trusted)[0] is History.UNPROVED
    assert SeenCheckpoint(path=grown.folder / "checkpoint").compare(given, proof, trusted) == (History.GROWN, "")
    stranger = Checkpoint(origin="other.example", size=303, root=bytes(32)).signed(signer.ed25519)
    alone.write_bytes(stranger)
    assert SeenCheckpoint(path=alone).compare(given, proof, trusted)[0] is History.UNPROVED
