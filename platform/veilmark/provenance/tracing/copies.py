"""A grant's copy of a release: its images with the recipient's layer, signed and logged anew.

The copy holds the release's documents, its manifest and the signature over it; images and sidecars are written anew.
One statement, signed as a release is, binds the copy's manifest to the digest of the release's manifest. It names the
grant by a random id and no person. The layer is drawn from a key and depends on no private data: what was audited
stays what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from veilmark.provenance.atomic import new_folder, write_below
from veilmark.provenance.bundle import list_other_files, write_log_state
from veilmark.provenance.digests import digest_of
from veilmark.provenance.documents import INDEX_NAME
from veilmark.provenance.embedded.base import FileSealer
from veilmark.provenance.endorsed import copy_endorsed
from veilmark.provenance.envelope import sign_statement
from veilmark.provenance.errors import BundleError
from veilmark.provenance.identity import SigningIdentity
from veilmark.provenance.layout import (
    GRANT_ENVELOPE,
    RELEASE_ENVELOPE,
    RELEASE_PART,
    STAMP_NAME,
)
from veilmark.provenance.log.entries import statement_entry
from veilmark.provenance.log.writer import TransparencyLog
from veilmark.provenance.manifest import FileEntry, ImageEntry, Manifest, parse_manifest
from veilmark.provenance.parallel import Progress, no_progress
from veilmark.provenance.prepared import PreparedImages
from veilmark.provenance.proofs import content_tree, root_digest
from veilmark.provenance.source import BundleSource, open_bundle
from veilmark.provenance.statements import MANIFEST_NAME, grant_statement
from veilmark.provenance.tracing.files import write_traced

_OF_THE_RELEASE_ALONE = ("envelopes/", "images/", "log/", "proofs/", "timestamps/")


@dataclass(frozen=True, kw_only=True)
class GrantCopy:
    """A copy as it lies in `folder`."""

    folder: Path
    manifest: Manifest
    manifest_digest: str


@dataclass(frozen=True, kw_only=True)
class GrantTerms:
    """`grant_id`: random, and what the layer is drawn for. `created_at`: UTC. `secret`: the site's, never shown."""

    grant_id: str
    created_at: str
    secret: bytes


def write_grant_copy(
    out: Path,
    *,
    release: Path,
    terms: GrantTerms,
    signer: SigningIdentity,
    log: TransparencyLog,
    sealers: Sequence[FileSealer] = (),
    n_processes: int = 1,
    progress: Progress = no_progress,
) -> GrantCopy:
    """Write the copy of the bundle `release` (folder or zip) as a new folder `out`, whole or not at all.

    The same terms give the same images. Raises ProvenanceError where a file of the release is not what was signed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with open_bundle(release) as source, TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        released = source.read(MANIFEST_NAME)
        original = parse_manifest(released, where=MANIFEST_NAME)
        prepared = _prepared(Path(scratch), source, original, terms, progress)
        with new_folder(out) as folder:
            root = prepared.merkle_root
            copied = copy_endorsed(prepared, folder, endorsed_root=root, sealers=sealers, n_processes=n_processes)
            kept = [name for name in (MANIFEST_NAME, RELEASE_ENVELOPE, STAMP_NAME) if name in source.sizes]
            documents = {f"{RELEASE_PART}{name}": source.read(name) for name in kept}
            documents |= {entry.path: source.read(entry.path) for entry in documents_of(original)}
            for name, data in documents.items():
                write_below(folder, name, data)
            manifest = replace(prepared.draft, images=[image.entry for image in copied])
            manifest = replace(manifest, files=list_other_files(folder, manifest))
            digest = digest_of(manifest.to_bytes())
            write_below(folder, MANIFEST_NAME, manifest.to_bytes())
            statement = grant_statement(
                manifest, manifest_digest=digest, release_digest=digest_of(released), grant_id=terms.grant_id
            )
            _sign_and_log(folder, sign_statement(statement, signer), original.release_id, log)
    return GrantCopy(folder=out, manifest=manifest, manifest_digest=digest)


def documents_of(release: Manifest) -> list[FileEntry]:
    """The files of a release that its copies hold unchanged: tables and texts, not what is signed image by image."""
    return [
        entry for entry in release.files if entry.path == INDEX_NAME or not entry.path.startswith(_OF_THE_RELEASE_ALONE)
    ]


def _prepared(
    scratch: Path, source: BundleSource, original: Manifest, terms: GrantTerms, progress: Progress
) -> PreparedImages:
    entries: list[ImageEntry] = []
    for entry in write_traced(scratch, source, original.images, recipient=terms.grant_id, secret=terms.secret):
        entries.append(entry)
        progress(len(entries), len(original.images))
    if not entries:
        raise BundleError("holds no image", where=source.where)
    root = root_digest(content_tree([entry.content_digest for entry in entries]))
    draft = replace(original, created_at=terms.created_at, merkle_root=root, images=entries, files=())
    return PreparedImages(folder=scratch, draft=draft)


def _sign_and_log(folder: Path, envelope: bytes, release_id: str, log: TransparencyLog) -> None:
    write_below(folder, GRANT_ENVELOPE, envelope)
    write_log_state(folder, log, [statement_entry(release_id=release_id, digest=digest_of(envelope))])
