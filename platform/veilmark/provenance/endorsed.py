"""Prepared files on their way into a bundle: checked to be those endorsed, then sealed without a change of content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from veilmark.provenance.atomic import write_below
from veilmark.provenance.digests import ImageMetadata, digest_of
from veilmark.provenance.embedded.base import FileSealer
from veilmark.provenance.errors import BundleError
from veilmark.provenance.files import FinalImage, read_final
from veilmark.provenance.manifest import FileEntry, ImageEntry
from veilmark.provenance.parallel import each
from veilmark.provenance.prepared import PreparedImages, content_of
from veilmark.provenance.proofs import content_tree, root_digest
from veilmark.provenance.source import BundleSource, open_bundle


@dataclass(frozen=True, kw_only=True)
class CopiedImage:
    """What an image's last file says, and its entry of the draft with the digests of the sealed files."""

    metadata: ImageMetadata
    kind: str
    entry: ImageEntry


@dataclass(frozen=True, kw_only=True)
class _Copier:
    source: BundleSource
    folder: Path
    sealers: Sequence[FileSealer]


def copy_endorsed(
    prepared: PreparedImages,
    folder: Path,
    *,
    endorsed_root: str,
    sealers: Sequence[FileSealer] = (),
    n_processes: int = 1,
) -> list[CopiedImage]:
    """Copy the prepared files below `folder`, sealed. With several processes, `sealers` must be picklable.

    Raises BundleError where a file is not the one prepared, where all together are not what was endorsed, and where a
    sealer changed pixels or metadata.
    """
    root = root_digest(content_tree([image.content_digest for image in prepared.draft.images]))
    if not root == prepared.merkle_root == endorsed_root:
        raise BundleError(f"the images' root is {root}, endorsed was {endorsed_root}", where=str(prepared.folder))
    (folder / "images").mkdir()
    setup = partial(_copier, prepared.folder, folder, sealers)
    return list(each(_copy, prepared.draft.images, setup=setup, n_processes=n_processes))


@contextmanager
def _copier(prepared: Path, folder: Path, sealers: Sequence[FileSealer]) -> Iterator[_Copier]:
    with open_bundle(prepared) as source:
        yield _Copier(source=source, folder=folder, sealers=sealers)


def _copy(copier: _Copier, image: ImageEntry) -> CopiedImage:
    files = []
    for entry in image.files:
        data, final, metadata = _read_prepared(copier.source, entry, image)
        mine = [sealer for sealer in copier.sealers if entry.path.endswith(sealer.suffix)]
        sealed = _sealed(data, entry.path, image, mine)
        write_below(copier.folder, entry.path, sealed)
        _write_sidecars(copier.folder, entry.path, sealed, mine)
        files.append(FileEntry(path=entry.path, digest=digest_of(sealed), size=len(sealed)))
    return CopiedImage(metadata=metadata, kind=_kind(final), entry=replace(image, files=files))


def _read_prepared(
    source: BundleSource, entry: FileEntry, image: ImageEntry
) -> tuple[bytes, FinalImage, ImageMetadata]:
    data = source.read(entry.path)
    final = read_final(data, where=entry.path)
    if final.metadata is None or digest_of(data) != entry.digest or content_of(final) != image.content_digest:
        raise BundleError("changed since it was prepared", where=entry.path, remedy="prepare and audit anew")
    return data, final, final.metadata


def _kind(final: FinalImage) -> str:
    shape = final.pixels.shape
    return f"{shape[1]} x {shape[0]} pixels, {'RGB' if len(shape) == 3 else 'grey'}, {final.pixels.dtype.name}"


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
