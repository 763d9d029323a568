"""A bundle's checkpoint against one that the verifier has seen: did the log only grow, or was history rewritten?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from veilmark.provenance.errors import ProvenanceError
from veilmark.provenance.identity import Identity
from veilmark.provenance.log.checkpoint import Checkpoint, verify_checkpoint
from veilmark.provenance.log.notes import MAX_NOTE_BYTES
from veilmark.provenance.log.proof import LogProof, grew_from
from veilmark.provenance.log.reader import LogFolder
from veilmark.provenance.reading import read_file


class History(Enum):
    """`GROWN`: one begins with the other. `FORKED`: shown that neither does. `UNPROVED`: nothing shows either."""

    GROWN = "grown"
    FORKED = "forked"
    UNPROVED = "unproved"


@dataclass(frozen=True, kw_only=True)
class SeenCheckpoint:
    """A signed checkpoint in a file; where the rest of the log lies beside it, proofs are made from there too."""

    path: Path

    def compare(self, given: Checkpoint, proof: LogProof, identities: Collection[Identity]) -> tuple[History, str]:
        """The outcome and, unless the log has grown, what is wrong with the `given` one.

        Raises FileError, FormatError and SignatureError where the seen checkpoint itself is not to be believed.
        """
        seen = verify_checkpoint(read_file(self.path, max_bytes=MAX_NOTE_BYTES), identities, where=str(self.path))
        if seen.origin != given.origin:
            return History.UNPROVED, f"is of the log {given.origin}, and the checkpoint you have seen of {seen.origin}"
        if seen.size > given.size:
            return self._compare_older(given, seen)
        hashes = {state.size: state.hashes for state in proof.earlier} | {given.size: ()}
        if seen.size not in hashes:
            what = f"says nothing about the {seen.size} entries that you have seen: forked, or rewritten since"
            return History.UNPROVED, what
        if grew_from(given, seen, hashes[seen.size]):
            return History.GROWN, ""
        return History.FORKED, f"forked: the log of {given.size} entries is not the one you have seen with {seen.size}"

    def _compare_older(self, given: Checkpoint, seen: Checkpoint) -> tuple[History, str]:
        """Rolled back, or made before the seen one: only the log's tiles tell."""
        try:
            hashes = LogFolder(self.path.parent).consistency_proof(given.size, size=seen.size)
        except ProvenanceError:
            what = (
                f"rolled back to {given.size} entries from {seen.size}, and no copy of the log lies beside the seen one"
            )
            return History.UNPROVED, what
        if grew_from(seen, given, hashes):
            return History.GROWN, ""
        return History.FORKED, f"forked: no earlier state of the log that you have seen with {seen.size} entries"
