"""Image files of a release written again with a recipient's layer: new pixels, the same words, the same public mark."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import UID

from veilmark.provenance.atomic import write_below
from veilmark.provenance.digests import digest_of
from veilmark.provenance.errors import BundleError, FileError
from veilmark.provenance.files import FinalImage, png_bytes, read_final
from veilmark.provenance.manifest import FileEntry, ImageEntry
from veilmark.provenance.prepared import content_of
from veilmark.provenance.source import BundleSource
from veilmark.provenance.tracing.layer import trace_images
from veilmark.provenance.watermark import PUBLIC_DETECTION_KEY

_UIDS = uuid.UUID("5b1f7f1e-0a53-5d0c-9a55-3c1c8f0b6f52")  # the name space of every UID made here, never to change
_SIGNATURES = ("MACParametersSequence", "DigitalSignaturesSequence")
_AT_ONCE = 64  # images


def write_traced(
    folder: Path,
    source: BundleSource,
    images: Sequence[ImageEntry],
    *,
    recipient: str,
    secret: bytes,
    key: bytes = PUBLIC_DETECTION_KEY,
) -> Iterator[ImageEntry]:
    """Write the released `images` of `source` below `folder` with the layer of `recipient`; their new entries.

    Every file that is read must be the released one, and every file written is read back. Raises ProvenanceError.
    """
    for start in range(0, len(images), _AT_ONCE):
        part = images[start : start + _AT_ONCE]
        finals = [_released(source, image) for image in part]
        pixels = np.stack([final.pixels for final in finals])
        names = [image.image_id for image in part]
        traced = trace_images(pixels, image_ids=names, recipient=recipient, secret=secret, key=key)
        for image, final, changed in zip(part, finals, traced.images, strict=True):
            yield _written(folder, source, image, final, changed, recipient)


def _released(source: BundleSource, image: ImageEntry) -> FinalImage:
    final = read_final(_checked(source, image.files[0]), where=image.files[0].path)
    if content_of(final) != image.content_digest:
        raise BundleError("its content is not what was released", where=image.files[0].path)
    return final


def _checked(source: BundleSource, entry: FileEntry) -> bytes:
    data = source.read(entry.path)
    if digest_of(data) != entry.digest:
        raise BundleError("changed since it was released", where=entry.path, remedy="restore it from a copy")
    return data


def _written(
    folder: Path,
    source: BundleSource,
    image: ImageEntry,
    final: FinalImage,
    pixels: NDArray[np.generic],
    recipient: str,
) -> ImageEntry:
    if final.metadata is None:
        raise BundleError("carries no metadata of ours", where=image.image_id)
    content = content_of(FinalImage(pixels=pixels, metadata=final.metadata)) or ""
    files = []
    for entry in image.files:
        data = _checked(source, entry)
        if entry.path.endswith(".png"):
            written = png_bytes(pixels, final.metadata, where=entry.path)
        else:
            written = dicom_with(data, pixels, name=f"{recipient}/{image.image_id}", where=entry.path)
        if content_of(read_final(written, where=entry.path)) != content:
            raise FileError("does not read back as what was written", where=entry.path)
        write_below(folder, entry.path, written)
        files.append(FileEntry(path=entry.path, digest=digest_of(written), size=len(written)))
    return ImageEntry(image_id=image.image_id, content_digest=content, mark_id=image.mark_id, signature="", files=files)


def dicom_with(data: bytes, pixels: NDArray[np.generic], *, name: str, where: str) -> bytes:
    """An uncompressed DICOM file with other pixels of the same kind, a new SOP Instance UID, and no old signature.

    `name` gives the UID: an equal one gives an equal UID (PS3.5 B.2). Raises FileError.
    """
    if data[128:132] != b"DICM":
        raise FileError("is neither PNG nor DICOM", where=where)
    dataset = pydicom.dcmread(io.BytesIO(data))
    uid = UID(f"2.25.{uuid.uuid5(_UIDS, name).int}")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    for keyword in _SIGNATURES:
        if keyword in dataset:
            delattr(dataset, keyword)
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    stored = pixels.astype(f"<u{dataset.BitsAllocated // 8}").tobytes()  # MR keeps 8 bits in words of 16
    dataset.PixelData = stored + b"\0" * (len(stored) % 2)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
