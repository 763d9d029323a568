"""From synthetic images to a published bundle, in two steps with people between them.

`prepare_images` marks and writes the final files and gives the Merkle root of their content: those bytes are audited
and that root is endorsed. `write_bundle` then signs exactly these bytes and refuses any others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veilmark.provenance.atomic import new_folder, write_atomically, write_below
from veilmark.provenance.digests import ImageMetadata, content_digest, digest_of
from veilmark.provenance.documents import INDEX_NAME, ReleaseInfo, croissant, datasheet, index_csv
from veilmark.provenance.envelope import Signer, envelope_signature, sign_statement
from veilmark.provenance.errors import BundleError, FileError
from veilmark.provenance.files import FinalImage, ImageWriter, png_bytes, read_final
from veilmark.provenance.manifest import FileEntry, ImageEntry, Manifest, parse_manifest
from veilmark.provenance.proofs import InclusionProof, content_tree, root_digest
from veilmark.provenance.source import open_bundle
from veilmark.provenance.statements import MANIFEST_NAME, image_statement, recall_statement, release_statement
from veilmark.provenance.strict_json import readable_json
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY, MarkId, mark_images

DRAFT_NAME = "draft.json"
RELEASE_ENVELOPE = "envelopes/release.json"
RECALL_NAME = "recall.json"
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """The progress callback of callers who do not look."""


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


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A published bundle. `manifest_digest` names the release everywhere else."""

    folder: Path
    manifest: Manifest
    manifest_digest: str


def prepare_images(
    out: Path,
    *,
    images: NDArray[np.generic],
    metadata: Sequence[ImageMetadata],
    mark_release: int,
    created_at: str,
    key: bytes = PUBLIC_DETECTION_KEY,
    writers: Sequence[ImageWriter] = (),
    progress: Progress = no_progress,
) -> PreparedImages:
    """Mark images [N, H, W] or [N, H, W, 3] and write each as PNG and by each further writer to `out`/images.

    Every file is read back, and must say the same as the pixels and metadata given. Raises ProvenanceError.
    """
    if not len(images) or len(images) != len(metadata):
        raise BundleError(f"{len(images)} images and {len(metadata)} rows of metadata", where=str(out))
    if len({row.release_id for row in metadata}) > 1:
        raise BundleError("the images belong to several releases", where=str(out))
    ids = _draw_ids(len(images), mark_release)
    marked = mark_images(images, ids, key=key)
    entries = []
    with new_folder(out) as folder:
        (folder / "images").mkdir()
        for i, row in enumerate(metadata):
            mark_id = ids[i].hex if marked.is_marked[i] else ""
            entries.append(_write_image(folder, marked.images[i], row, mark_id, i, writers))
            progress(i + 1, len(metadata))
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


def write_bundle(
    out: Path,
    *,
    prepared: PreparedImages,
    endorsed_root: str,
    release: ReleaseInfo,
    signer: Signer,
    decision: Mapping[str, object],
    report: Mapping[str, object],
    report_html: str,
    progress: Progress = no_progress,
) -> Bundle:
    """Sign and publish prepared images as a new folder `out`, whole or not at all.

    Raises BundleError where the prepared files are not those whose Merkle root was endorsed.
    """
    if prepared.draft.release_id != release.release_id:
        raise BundleError(f"the images were prepared for {prepared.draft.release_id}", where=release.release_id)
    with new_folder(out) as folder:
        finals = _copy_endorsed(prepared, folder, endorsed_root)
        metadata = [final.metadata for final in finals if final.metadata]
        draft = replace(prepared.draft, created_at=release.created_at)
        draft = replace(draft, images=_sign_images(folder, draft, signer, progress))
        index = index_csv(draft, metadata)
        shape, kind = finals[0].pixels.shape, finals[0].pixels.dtype.name
        image_kind = f"{shape[1]} x {shape[0]} pixels, {'RGB' if len(shape) == 3 else 'grey'}, {kind}"
        documents = {
            INDEX_NAME: index,
            "croissant.json": croissant(release, index),
            "datasheet.md": datasheet(release, draft, metadata, image_kind=image_kind),
            "decision.json": readable_json(dict(decision)),
            "report/report.json": readable_json(dict(report)),
            "report/report.html": report_html.encode(),
        }
        for name, data in documents.items():
            write_below(folder, name, data)
        manifest = replace(draft, files=_other_files(folder, draft))
        manifest_bytes = manifest.to_bytes()
        manifest_digest = digest_of(manifest_bytes)
        statement = release_statement(manifest, manifest_digest=manifest_digest)
        write_below(folder, MANIFEST_NAME, manifest_bytes)
        write_below(folder, RELEASE_ENVELOPE, sign_statement(statement, signer))
    return Bundle(folder=out, manifest=manifest, manifest_digest=manifest_digest)


def write_recall(folder: Path, *, signer: Signer, reason: str, recalled_at: str) -> None:
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


def _draw_ids(n: int, mark_release: int) -> list[MarkId]:
    ids: dict[MarkId, None] = {}
    while len(ids) < n:
        ids[MarkId.draw(mark_release)] = None
    return list(ids)


def _write_image(
    folder: Path,
    pixels: NDArray[np.generic],
    metadata: ImageMetadata,
    mark_id: str,
    index: int,
    writers: Sequence[ImageWriter],
) -> ImageEntry:
    digest = content_digest(pixels, metadata)
    png_name = f"images/{metadata.image_id}.png"
    write_below(folder, png_name, png_bytes(pixels, metadata, where=png_name))
    names = [png_name]
    for writer in writers:
        names.append(f"images/{metadata.image_id}{writer.suffix}")
        writer(folder / names[-1], pixels, metadata, mark_id=mark_id, index=index)
    files = []
    for name in names:
        data = (folder / name).read_bytes()
        if _content_of(read_final(data, where=name)) != digest:
            raise FileError("does not read back as what was written", where=name)
        files.append(FileEntry(path=name, digest=digest_of(data), size=len(data)))
    return ImageEntry(image_id=metadata.image_id, content_digest=digest, mark_id=mark_id, signature="", files=files)


def _copy_endorsed(prepared: PreparedImages, folder: Path, endorsed_root: str) -> list[FinalImage]:
    """Copy the files while checking that each is the one prepared, and that all together are what was endorsed."""
    finals = []
    with open_bundle(prepared.folder) as source:
        for image in prepared.draft.images:
            for entry in image.files:
                data = source.read(entry.path)
                final = read_final(data, where=entry.path)
                if digest_of(data) != entry.digest or _content_of(final) != image.content_digest:
                    raise BundleError(
                        "changed since it was prepared", where=entry.path, remedy="prepare and audit anew"
                    )
                write_below(folder, entry.path, data)
            finals.append(final)
    root = root_digest(content_tree([image.content_digest for image in prepared.draft.images]))
    if not root == prepared.merkle_root == endorsed_root:
        raise BundleError(f"the images' root is {root}, endorsed was {endorsed_root}", where=str(prepared.folder))
    return finals


def _content_of(final: FinalImage) -> str | None:
    return content_digest(final.pixels, final.metadata) if final.metadata else None


def _sign_images(folder: Path, draft: Manifest, signer: Signer, progress: Progress) -> list[ImageEntry]:
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


def envelope_name(image_id: str) -> str:
    """Where the envelope of an image lies in a bundle."""
    return f"envelopes/images/{image_id}.json"


def proof_name(image_id: str) -> str:
    """Where the inclusion proof of an image lies in a bundle."""
    return f"proofs/{image_id}.json"


def _other_files(folder: Path, draft: Manifest) -> list[FileEntry]:
    of_images = {entry.path for image in draft.images for entry in image.files}
    with open_bundle(folder) as source:
        names = sorted(set(source.sizes) - of_images)
        contents = ((name, source.read(name)) for name in names)
        return [FileEntry(path=name, digest=digest_of(data), size=len(data)) for name, data in contents]
