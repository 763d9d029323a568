"""Whether a bundle's images stand in the publisher's transparency log, and whether that log only ever grew."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from veilmark.provenance.digests import digest_of
from veilmark.provenance.errors import ProvenanceError
from veilmark.provenance.identity import Identity
from veilmark.provenance.layout import CHECKPOINT_NAME, GRANT_ENVELOPE, LOG_PROOF_NAME, is_grant_copy
from veilmark.provenance.log.checkpoint import verify_checkpoint
from veilmark.provenance.log.entries import image_entries, statement_entry
from veilmark.provenance.log.proof import parse_log_proof
from veilmark.provenance.log.seen import History, SeenCheckpoint
from veilmark.provenance.manifest import Manifest
from veilmark.provenance.source import BundleSource
from veilmark.provenance.verdict import Problem


@dataclass(frozen=True, kw_only=True)
class LogCheck:
    """`problems` are shown; `doubts` could not be decided with what is at hand, which is no pass either."""

    problems: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()


def check_logged(
    source: BundleSource, manifest: Manifest, identities: Collection[Identity], seen: SeenCheckpoint | None
) -> LogCheck:
    """Check the checkpoint's signature, that all images stand under it, and that it agrees with the one `seen`.

    Raises ProvenanceError where the seen checkpoint cannot be believed itself.
    """
    try:
        checkpoint = verify_checkpoint(source.read(CHECKPOINT_NAME), identities, where=CHECKPOINT_NAME)
        proof = parse_log_proof(source.read(LOG_PROOF_NAME), where=LOG_PROOF_NAME)
    except ProvenanceError as error:
        return LogCheck(problems=(Problem(where=error.where, what=error.what),))
    if not proof.holds(_entries(source, manifest), checkpoint):
        what = f"does not show what was released in the log of {checkpoint.size} entries"
        return LogCheck(problems=(Problem(where=LOG_PROOF_NAME, what=what),))
    if seen is None:
        return LogCheck()
    history, what = seen.compare(checkpoint, proof, identities)
    problem = Problem(where=CHECKPOINT_NAME, what=what)
    if history is History.FORKED:
        return LogCheck(problems=(problem,))
    return LogCheck(doubts=() if history is History.GROWN else (problem,))


def _entries(source: BundleSource, manifest: Manifest) -> list[bytes]:
    """A release stands in the log image by image, a grant's copy by the digest of its statement."""
    if is_grant_copy(source.sizes):
        return [statement_entry(release_id=manifest.release_id, digest=digest_of(source.read(GRANT_ENVELOPE)))]
    return image_entries(manifest.images, release_id=manifest.release_id)
