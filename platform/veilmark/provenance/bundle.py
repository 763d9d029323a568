"""Signing and publishing a release: the very files that were prepared, audited and endorsed, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from veilmark.provenance.atomic import new_folder, write_atomically, write_below
from veilmark.provenance.bom import bill_of_materials
from veilmark.provenance.croissant import croissant
from veilmark.provenance.digests import digest_of
from veilmark.provenance.documents import INDEX_NAME, Evidence, ReleaseInfo, datasheet, index_csv
from veilmark.provenance.embedded.base import FileSealer
from veilmark.provenance.endorsed import copy_endorsed
from veilmark.provenance.envelope import envelope_signature, sign_statement
from veilmark.provenance.errors import BundleError
from veilmark.provenance.identity import SigningIdentity
from veilmark.provenance.layout import (
    BOM_NAME,
    CHECKPOINT_NAME,
    LOG_PROOF_NAME,
    RECALL_NAME,
    RELEASE_ENVELOPE,
    envelope_name,
    proof_name,
)
from veilmark.provenance.log.entries import image_entries
from veilmark.provenance.log.proof import LogProof
from veilmark.provenance.log.writer import TransparencyLog
from veilmark.provenance.manifest import FileEntry, ImageEntry, Manifest, parse_manifest
from veilmark.provenance.parallel import Progress, no_progress
from veilmark.provenance.prepared import PreparedImages
from veilmark.provenance.proofs import InclusionProof, content_tree
from veilmark.provenance.source import open_bundle
from veilmark.provenance.statements import MANIFEST_NAME, image_statement, recall_statement, release_statement


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A published bundle. `manifest_digest` names the release everywhere else."""

    folder: Path
    manifest: Manifest
    manifest_digest: str


def write_bundle(
    out: Path,
    *,
    prepared: PreparedImages,
    endorsed_root: str,
    release: ReleaseInfo,
    signer: SigningIdentity,
    log: TransparencyLog,
    evidence: Evidence,
    sealers: Sequence[FileSealer] = (),
    n_processes: int = 1,
    progress: Progress = no_progress,
) -> Bundle:
    """Sign and publish prepared images as a new folder `out`, whole or not at all.

    The images are in `log` before anything is signed. `sealers` sign the image files one by one; the manifest lists
    them as they then are, sidecars among `files`.
    Raises BundleError where the prepared files are not those whose Merkle root was endorsed.
    """
    if prepared.draft.release_id != release.release_id:
        raise BundleError(f"the images were prepared for {prepared.draft.release_id}", where=release.release_id)
    with new_folder(out) as folder:
        copied = copy_endorsed(prepared, folder, endorsed_root=endorsed_root, sealers=sealers, n_processes=n_processes)
        metadata = [image.metadata for image in copied]
        draft = replace(prepared.draft, created_at=release.created_at, images=[image.entry for image in copied])
        write_log_state(folder, log, image_entries(draft.images, release_id=draft.release_id))
        draft = replace(draft, images=_sign_images(folder, draft, signer, progress))
        index = index_csv(draft, metadata)
        documents = {
            INDEX_NAME: index,
            "croissant.json": croissant(release, index),
            "datasheet.md": datasheet(release, draft, metadata, image_kind=copied[0].kind),
            **evidence.files(),
        }
        documents[BOM_NAME] = bill_of_materials(release, draft, documents)
        for name, data in documents.items():
            write_below(folder, name, data)
        manifest = replace(draft, files=list_other_files(folder, draft))
        manifest_bytes = manifest.to_bytes()
        manifest_digest = digest_of(manifest_bytes)
        statement = release_statement(manifest, manifest_digest=manifest_digest)
        write_below(folder, MANIFEST_NAME, manifest_bytes)
        write_below(folder, RELEASE_ENVELOPE, sign_statement(statement, signer))
    return Bundle(folder=out, manifest=manifest, manifest_digest=manifest_digest)


def write_recall(folder: Path, *, signer: SigningIdentity, reason: str, recalled_at: str) -> None:
    """Put a signed `recall.json` beside the manifest: from then on the bundle verifies as recalled."""
    with open_bundle(folder) as source:
        data = source.read(MANIFEST_NAME)
    statement = recall_statement(
        release_id=parse_manifest(data, where=MANIFEST_NAME).release_id,
        manifest_digest=digest_of(data),
        reason=reason,
        recalled_at=recalled_at,
    )
    write_atomically(folder / RECALL_NAME, sign_statement(statement, signer))


def write_log_state(folder: Path, log: TransparencyLog, entries: Sequence[bytes]) -> None:
    """Log `entries`, and put the signed state and the proof that they stand in it into a bundle.

    Raises ProvenanceError.
    """
    logged = log.append(entries)
    write_below(folder, CHECKPOINT_NAME, logged.checkpoint)
    write_below(folder, LOG_PROOF_NAME, LogProof.of(log.reader, logged).to_bytes())


def _sign_images(folder: Path, draft: Manifest, signer: SigningIdentity, progress: Progress) -> list[ImageEntry]:
    """Write each image's envelope and proof; the entries with their signatures."""
    tree = content_tree([image.content_digest for image in draft.images])
    signed = []
    for i, image in enumerate(draft.images):
        envelope = sign_statement(image_statement(image, release_id=draft.release_id), signer)
        write_below(folder, envelope_name(image.image_id), envelope)
        proof = InclusionProof(
            content_digest=image.content_digest,
            index=i,
            n_leaves=len(tree),
            hashes=tuple(tree.inclusion_proof(i)),
        )
        write_below(folder, proof_name(image.image_id), proof.to_bytes())
        signed.append(replace(image, signature=envelope_signature(envelope, where=image.image_id)))
        progress(i + 1, len(draft.images))
    return signed


def list_other_files(folder: Path, draft: Manifest) -> list[FileEntry]:
    """What lies in a bundle beside the files of the images that `draft` names. Raises ProvenanceError."""
    of_images = {entry.path for image in draft.images for entry in image.files}
    with open_bundle(folder) as source:
        names = sorted(set(source.sizes) - of_images)
        contents = ((name, source.read(name)) for name in names)
        return [FileEntry(path=name, digest=digest_of(data), size=len(data)) for name, data in contents]
