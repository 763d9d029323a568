"""From synthetic images to final files: marked, written, read back, and named by one Merkle root.

Those bytes are audited and that root is endorsed; `bundle.write_bundle` signs exactly these bytes and refuses others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.atomic import new_folder, write_below
from veilmark.provenance.digests import ImageMetadata, content_digest, digest_of
from veilmark.provenance.embedded.visible_label import VisibleLabel, check_label, with_label
from veilmark.provenance.errors import BundleError, FileError
from veilmark.provenance.files import FinalImage, ImageWriter, png_bytes, read_final
from veilmark.provenance.layout import DRAFT_NAME
from veilmark.provenance.manifest import FileEntry, ImageEntry, Manifest, parse_manifest
from veilmark.provenance.parallel import Progress, each, no_progress
from veilmark.provenance.proofs import content_tree, root_digest
from veilmark.provenance.source import open_bundle
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY, MarkId, detect_mark, mark_images, version_for

_BATCH = 64  # images that are marked together


@dataclass(frozen=True, kw_only=True)
class PreparedImages:
    """Final files in `folder`/images, and the unsigned manifest of them."""

    folder: Path
    draft: Manifest

    @property
    def merkle_root(self) -> str:
        """What is audited and endorsed."""
        return self.draft.merkle_root

    @property
    def n_marked(self) -> int:
        """Images whose mark was read back."""
        return sum(bool(image.mark_id) for image in self.draft.images)

    @classmethod
    def read(cls, folder: Path) -> PreparedImages:
        """What `prepare_images` left in `folder`. Raises BundleError and FormatError."""
        with open_bundle(folder) as source:
            return cls(folder=folder, draft=parse_manifest(source.read(DRAFT_NAME), where=str(folder / DRAFT_NAME)))


def prepare_images(
    out: Path,
    *,
    images: NDArray[np.generic],
    metadata: Sequence[ImageMetadata],
    mark_release: int,
    created_at: str,
    key: bytes = PUBLIC_DETECTION_KEY,
    writers: Sequence[ImageWriter] = (),
    visible_label: VisibleLabel = VisibleLabel.NONE,
    n_processes: int = 1,
    progress: Progress = no_progress,
) -> PreparedImages:
    """Mark images [N, H, W] or [N, H, W, 3] and write each as PNG and by each further writer to `out`/images.

    A visible label comes after the mark; a mark that it destroys is not claimed. Every file is read back, and must say
    the same as the pixels and metadata given. With several processes, `writers` must be picklable.
    Raises ProvenanceError.
    """
    if not len(images) or len(images) != len(metadata):
        raise BundleError(f"{len(images)} images and {len(metadata)} rows of metadata", where=str(out))
    if len({row.release_id for row in metadata}) > 1:
        raise BundleError("the images belong to several releases", where=str(out))
    check_label(images.shape[1:], visible_label)
    ids = _draw_ids(len(images), mark_release, version_for(*images.shape[1:3]))
    batches = [
        _Batch(first=i, images=images[i : i + _BATCH], ids=ids[i : i + _BATCH], metadata=metadata[i : i + _BATCH])
        for i in range(0, len(images), _BATCH)
    ]
    with new_folder(out) as folder:
        (folder / "images").mkdir()
        maker = _Maker(folder=folder, key=key, writers=writers, label=visible_label)
        made = each(
            _make_batch,
            batches,
            setup=partial(_making, maker),
            n_processes=n_processes,
            chunk=1,
            progress=lambda done, _: progress(min(done * _BATCH, len(images)), len(images)),
        )
        entries = [entry for batch in made for entry in batch]
        tree = content_tree([entry.content_digest for entry in entries])
        draft = Manifest(
            release_id=metadata[0].release_id,
            mark_release=mark_release,
            created_at=created_at,
            merkle_root=root_digest(tree),
            images=entries,
            files=(),
        )
        data = draft.to_bytes()
        parse_manifest(data, where=DRAFT_NAME)
        write_below(folder, DRAFT_NAME, data)
    return PreparedImages(folder=out, draft=draft)


def content_of(final: FinalImage) -> str | None:
    """The content digest of a file as read; None for a file that carries no metadata of ours."""
    return content_digest(final.pixels, final.metadata) if final.metadata else None


def _draw_ids(n: int, mark_release: int, version: int) -> list[MarkId]:
    ids: dict[MarkId, None] = {}
    while len(ids) < n:
        ids[MarkId.draw(mark_release, version)] = None
    return list(ids)


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Images that are marked together; `first` is the number of the first one in the release."""

    first: int
    images: NDArray[np.generic]
    ids: Sequence[MarkId]
    metadata: Sequence[ImageMetadata]


@dataclass(frozen=True, kw_only=True)
class _Maker:
    folder: Path
    key: bytes
    writers: Sequence[ImageWriter]
    label: VisibleLabel


@contextmanager
def _making(maker: _Maker) -> Iterator[_Maker]:
    yield maker


def _make_batch(maker: _Maker, batch: _Batch) -> list[ImageEntry]:
    """Mark, label and write a batch. Its mark ids were drawn for the whole release, so that none comes twice."""
    marked = mark_images(batch.images, batch.ids, key=maker.key)
    entries = []
    for i, row in enumerate(batch.metadata):
        pixels = with_label(marked.images[i], maker.label)
        keeps_mark = not maker.label.changes_pixels or detect_mark(pixels, key=maker.key).id == batch.ids[i]
        mark_id = batch.ids[i].hex if marked.is_marked[i] and keeps_mark else ""
        entries.append(_write_image(maker, pixels, row, mark_id=mark_id, index=batch.first + i))
    return entries


def _write_image(
    maker: _Maker, pixels: NDArray[np.generic], metadata: ImageMetadata, *, mark_id: str, index: int
) -> ImageEntry:
    digest = content_digest(pixels, metadata)
    png_name = f"images/{metadata.image_id}.png"
    (maker.folder / png_name).write_bytes(png_bytes(pixels, metadata, where=png_name))
    names = [png_name]
    for writer in maker.writers:
        names.append(f"images/{metadata.image_id}{writer.suffix}")
        writer(maker.folder / names[-1], pixels, metadata, mark_id=mark_id, index=index, label=maker.label)
    files = []
    for name in names:
        data = (maker.folder / name).read_bytes()
        if content_of(read_final(data, where=name)) != digest:
            raise FileError("does not read back as what was written", where=name)
        files.append(FileEntry(path=name, digest=digest_of(data), size=len(data)))
    return ImageEntry(image_id=metadata.image_id, content_digest=digest, mark_id=mark_id, signature="", files=files)
