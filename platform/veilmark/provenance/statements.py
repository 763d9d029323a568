"""What is claimed and signed: of one image, of a release, of a grant's copy, of a recall."""

from __future__ import annotations

from collections.abc import Mapping

from veilmark.provenance.envelope import Statement
from veilmark.provenance.files import DIGITAL_SOURCE_TYPE
from veilmark.provenance.manifest import ImageEntry, Manifest
from veilmark.provenance.predicates import GRANT_PREDICATE, IMAGE_PREDICATE, RECALL_PREDICATE, RELEASE_PREDICATE

MANIFEST_NAME = "manifest.json"


def image_statement(image: ImageEntry, *, release_id: str) -> Statement:
    """Binds an image's files, content and mark to each other and to the release."""
    return Statement(
        subjects={entry.path: entry.digest for entry in image.files},
        predicate_type=IMAGE_PREDICATE,
        predicate={
            "release_id": release_id,
            "image_id": image.image_id,
            "content_digest": image.content_digest,
            "mark_id": image.mark_id,
            "digital_source_type": DIGITAL_SOURCE_TYPE,
        },
    )


def release_statement(manifest: Manifest, *, manifest_digest: str) -> Statement:
    """Binds the manifest, and by it every file of the bundle, to the Merkle root that was endorsed."""
    return Statement(
        subjects={MANIFEST_NAME: manifest_digest},
        predicate_type=RELEASE_PREDICATE,
        predicate={
            "release_id": manifest.release_id,
            "created_at": manifest.created_at,
            "merkle_root": manifest.merkle_root,
            "n_images": len(manifest.images),
        },
    )


def grant_statement(manifest: Manifest, *, manifest_digest: str, release_digest: str, grant_id: str) -> Statement:
    """Binds the manifest of a grant's copy to that of its release. `grant_id` is random and names no person."""
    return Statement(
        subjects={MANIFEST_NAME: manifest_digest},
        predicate_type=GRANT_PREDICATE,
        predicate={
            "release_id": manifest.release_id,
            "release_manifest": release_digest,
            "grant_id": grant_id,
            "created_at": manifest.created_at,
            "merkle_root": manifest.merkle_root,
        },
    )


def recall_statement(*, release_id: str, manifest_digest: str, reason: str, recalled_at: str) -> Statement:
    """Says that a published release must no longer be used."""
    predicate: Mapping[str, object] = {"release_id": release_id, "reason": reason, "recalled_at": recalled_at}
    return Statement(subjects={MANIFEST_NAME: manifest_digest}, predicate_type=RECALL_PREDICATE, predicate=predicate)
