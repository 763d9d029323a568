"""Verify a bundle (folder or zip) or one image, with no network, no database and nothing but the client installed."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path

from veilmark.provenance.bundle_check import verify_bundle
from veilmark.provenance.errors import FileError, ProvenanceError
from veilmark.provenance.files import MAX_FILE_BYTES
from veilmark.provenance.image_check import verify_image
from veilmark.provenance.log.seen import SeenCheckpoint
from veilmark.provenance.parallel import Progress, no_progress
from veilmark.provenance.reading import read_file
from veilmark.provenance.source import open_bundle
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Verification
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY


def verify_path(
    path: Path,
    *,
    bundle: Path | None = None,
    trust_root: TrustRoot | None = None,
    revoked: Collection[str] = (),
    checkpoint: Path | None = None,
    n_processes: int = 1,
    progress: Progress = no_progress,
    key: bytes = PUBLIC_DETECTION_KEY,
) -> Verification:
    """Verify `path`: a bundle, or one image (against `bundle` where given). Raises ProvenanceError for bad input.

    `revoked` are release ids or manifest digests known from elsewhere to be recalled. `checkpoint` is one of the
    publisher's log that was seen before: the bundle's log must have grown from it, or it from the bundle's.
    `progress` counts images.
    """
    if not path.exists():
        raise FileError("does not exist", where=str(path))
    if checkpoint and not trust_root:
        raise ProvenanceError("needs a trust root", where="checkpoint", remedy="give --trust-root")
    seen = SeenCheckpoint(path=checkpoint) if checkpoint else None
    if path.is_dir() or zipfile.is_zipfile(path):
        if bundle:
            raise ProvenanceError("is a bundle itself", where=str(path), remedy="give --bundle only with one image")
        with open_bundle(path) as source:
            return verify_bundle(
                source, trust_root, revoked=revoked, seen=seen, n_processes=n_processes, progress=progress
            )
    if seen and not bundle:
        raise ProvenanceError("says nothing about an image alone", where="checkpoint", remedy="give --bundle too")
    data, where = read_file(path, max_bytes=MAX_FILE_BYTES), str(path)
    with open_bundle(bundle) if bundle else nullcontext() as source:
        return verify_image(
            data, where=where, source=source, trust_root=trust_root, revoked=revoked, seen=seen, key=key
        )
