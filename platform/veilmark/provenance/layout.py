"""Where things lie in a bundle, and in the folder of prepared images."""

from __future__ import annotations

from collections.abc import Collection

DRAFT_NAME = "draft.json"
RELEASE_ENVELOPE = "envelopes/release.json"
RECALL_NAME = "recall.json"
STAMP_NAME = "timestamps/release.tsr"
BOM_NAME = "bom.json"
CHECKPOINT_NAME = "log/checkpoint"
LOG_PROOF_NAME = "log/proof.json"
GRANT_ENVELOPE = "envelopes/grant.json"
RELEASE_PART = "release/"  # in a grant's copy: the release's manifest and the signature over it


def is_grant_copy(names: Collection[str]) -> bool:
    """Whether files of these names are a grant's copy of a release, not the release itself."""
    return GRANT_ENVELOPE in names and RELEASE_ENVELOPE not in names


def envelope_name(image_id: str) -> str:
    """Where the envelope of an image lies in a bundle."""
    return f"envelopes/images/{image_id}.json"


def proof_name(image_id: str) -> str:
    """Where the inclusion proof of an image lies in a bundle."""
    return f"proofs/{image_id}.json"
