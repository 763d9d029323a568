"""The kinds of statements there are, and which signatures each must have. Fixed here, never read from a message."""

from __future__ import annotations

from collections.abc import Mapping

from veilmark.crypto.base import Algorithm
from veilmark.provenance.errors import FormatError

IMAGE_PREDICATE = "urn:veilmark:image:1"
RELEASE_PREDICATE = "urn:veilmark:release:1"
RECALL_PREDICATE = "urn:veilmark:recall:1"
GRANT_PREDICATE = "urn:veilmark:grant:1"

_BOTH = (Algorithm.ED25519, Algorithm.ML_DSA_65)
_REQUIRED: Mapping[str, tuple[Algorithm, ...]] = {
    RELEASE_PREDICATE: _BOTH,
    RECALL_PREDICATE: _BOTH,
    GRANT_PREDICATE: _BOTH,
    # The release statement, signed twice, covers every image by the manifest: 4.4 kB an image would add nothing.
    IMAGE_PREDICATE: (Algorithm.ED25519,),
}


def required_algorithms(predicate_type: str) -> tuple[Algorithm, ...]:
    """What must sign a statement of that kind, all of them. Raises FormatError for a kind that there is not."""
    if predicate_type not in _REQUIRED:
        raise FormatError(f"{predicate_type[:80]!r} is no kind of statement of ours")
    return _REQUIRED[predicate_type]
