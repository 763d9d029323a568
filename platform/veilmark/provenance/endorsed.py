"""Prepared files on their way into a bundle: checked to be those endorsed, then sealed without a change of content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from veilmark.provenance.atomic import write_below
from veilmark.provenance.digests import digest_of
from veilmark.provenance.embedded.base import FileSealer
from veilmark.provenance.errors import BundleError
from veilmark.provenance.files import FinalImage, read_final
from veilmark.provenance.manifest import FileEntry, ImageEntry
from veilmark.provenance.prepared import PreparedImages, content_of
from veilmark.provenance.proofs import content_tree, root_digest
from veilmark.provenance.source import BundleSource, open_bundle


@dataclass(frozen=True, kw_only=True)
class CopiedImages:
    """`finals` as read from each image's last file; `entries` of the draft with the digests of the sealed files."""

    finals: Sequence[FinalImage]
    entries: Sequence[ImageEntry]


def copy_endorsed(
    prepared: PreparedImages,
    folder: Path,
    *,
    endorsed_root: str,
    sealers: Sequence[FileSealer] = (),
) -> CopiedImages:
    """Copy the prepared files below `folder`, sealed.

    Raises BundleError where a file is not the one prepared, where all together are not what was endorsed, and where a
    sealer changed pixels or metadata.
    """
    root = root_digest(content_tree([image.content_digest for image in prepared.draft.images]))
    if not root == prepared.merkle_root == endorsed_root:
        raise BundleError(f"the images' root is {root}, endorsed was {endorsed_root}", where=str(prepared.folder))
    finals, entries = [], []
    with open_bundle(prepared.folder) as source:
        for image in prepared.draft.images:
            files = []
            for entry in image.files:
                data, final = _read_prepared(source, entry, image)
                mine = [sealer for sealer in sealers if entry.path.endswith(sealer.suffix)]
                sealed = _sealed(data, entry.path, image, mine)
                write_below(folder, entry.path, sealed)
                _write_sidecars(folder, entry.path, sealed, mine)
                files.append(FileEntry(path=entry.path, digest=digest_of(sealed), size=len(sealed)))
            finals.append(final)
            entries.append(replace(image, files=files))
    return CopiedImages(finals=finals, entries=entries)


def _read_prepared(source: BundleSource, entry: FileEntry, image: ImageEntry) -> tuple[bytes, FinalImage]:
    data = source.read(entry.path)
    final = read_final(data, where=entry.path)
    if digest_of(data) != entry.digest or content_of(final) != image.content_digest:
        raise BundleError("changed since it was prepared", where=entry.path, remedy="prepare and audit anew")
    return data, final


def _sealed(data: bytes, path: str, image: ImageEntry, sealers: Sequence[FileSealer]) -> bytes:
    for sealer in sealers:
        if not sealer.sidecar_suffix:
            data = sealer.seal(data, where=path)
            if content_of(read_final(data, where=path)) != image.content_digest:
                raise BundleError("its content changed when it was sealed", where=path, remedy="repair the sealer")
    return data


def _write_sidecars(folder: Path, path: str, data: bytes, sealers: Sequence[FileSealer]) -> None:
    for sealer in sealers:
        if sealer.sidecar_suffix:
            name = path.removesuffix(sealer.suffix) + sealer.sidecar_suffix
            write_below(folder, name, sealer.seal(data, where=path))
