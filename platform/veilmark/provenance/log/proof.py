"""What a bundle carries of the log: the signed checkpoint, and one proof that all its images stand under it.

A release's images are neighbours in the log, so the roots of the subtrees beside them suffice for all of them: at most
two hashes a level of the tree, whatever the number of images. With them come proofs that the log grew from each of its
earlier checkpoints, for a verifier who has seen one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from veilmark.provenance.digests import check_digest, digest_bytes
from veilmark.provenance.errors import FormatError
from veilmark.provenance.log.checkpoint import Checkpoint
from veilmark.provenance.log.reader import LogFolder, Logged
from veilmark.provenance.merkle import verify_consistency, verify_range
from veilmark.provenance.strict_json import check_keys, parse_object, readable_json, take, take_list

SCHEMA = "veilmark/log-proof/1"
MAX_EARLIER = 1000  # the newest ones; for an older checkpoint a copy of the log gives the proof
_MAX_BYTES = 1 << 24


@dataclass(frozen=True, kw_only=True)
class EarlierState:
    """`hashes` show that the log grew from its checkpoint of `size` entries (RFC 9162, 2.1.4)."""

    size: int
    hashes: Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class LogProof:
    """The release's images are entries `start` and following; `hashes` are the roots beside them, left to right."""

    start: int
    hashes: Sequence[bytes]
    earlier: Sequence[EarlierState]

    @classmethod
    def of(cls, log: LogFolder, logged: Logged) -> LogProof:
        """The proof of what was just appended, from the log's tiles. Raises ProvenanceError."""
        sizes = [size for size in log.sizes() if size < logged.end][-MAX_EARLIER:]
        proofs = log.consistency_proofs(sizes, size=logged.end)
        return cls(
            start=logged.start,
            hashes=log.range_proof(logged.start, logged.end, size=logged.end),
            earlier=[EarlierState(size=size, hashes=hashes) for size, hashes in zip(sizes, proofs, strict=True)],
        )

    def holds(self, entries: Sequence[bytes], checkpoint: Checkpoint) -> bool:
        """Whether `entries` stand, in this order, under the checkpoint."""
        return verify_range(
            entries, start=self.start, n_leaves=checkpoint.size, proof=self.hashes, root=checkpoint.root
        )

    def to_bytes(self) -> bytes:
        """The file."""
        return readable_json(
            {
                "schema": SCHEMA,
                "start": self.start,
                "hashes": _texts(self.hashes),
                "earlier": [{"size": state.size, "hashes": _texts(state.hashes)} for state in self.earlier],
            }
        )


def parse_log_proof(data: bytes, *, where: str) -> LogProof:
    """Raises FormatError."""
    body = parse_object(data, where=where, max_bytes=_MAX_BYTES)
    check_keys(body, ("schema", "start", "hashes", "earlier"), where=where)
    if body["schema"] != SCHEMA:
        raise FormatError(f"schema is not {SCHEMA}", where=where)
    return LogProof(
        start=take(body, "start", int, where=where),
        hashes=_hashes(body, where),
        earlier=[_parse_earlier(row, where) for row in take_list(body, "earlier", dict, where=where)],
    )


def grew_from(new: Checkpoint, old: Checkpoint, hashes: Sequence[bytes]) -> bool:
    """Whether `hashes` show that the log at `new` begins with the log at `old`."""
    return verify_consistency(n_old=old.size, old_root=old.root, n_new=new.size, new_root=new.root, proof=hashes)


def _parse_earlier(row: dict[str, object], where: str) -> EarlierState:
    check_keys(row, ("size", "hashes"), where=where)
    return EarlierState(size=take(row, "size", int, where=where), hashes=_hashes(row, where))


def _texts(hashes: Sequence[bytes]) -> list[str]:
    return [value.hex() for value in hashes]


def _hashes(body: dict[str, object], where: str) -> list[bytes]:
    texts = take_list(body, "hashes", str, where=where)
    return [digest_bytes(check_digest(f"sha256:{text}", where=where)) for text in texts]
