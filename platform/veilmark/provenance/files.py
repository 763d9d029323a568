"""Final image files: pixels, what they say about themselves, and reading both back.

A PNG carries the canonical metadata in a text chunk, XMP with the IPTC digital source type, and plain words. A DICOM
file carries the same canonical metadata in Image Comments (0020,4000); its other attributes belong to `dicom/`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from xml.sax.saxutils import escape

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from veilmark.provenance.atomic import write_atomically
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.embedded.visible_label import VisibleLabel
from veilmark.provenance.errors import FileError, FormatError
from veilmark.provenance.strict_json import canonical_json, parse_object

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MAX_PIXELS = 64 * 1024 * 1024  # larger than any image that we write; a declared size above is an attack or a mistake
MAX_FILE_BYTES = 512 * 1024 * 1024
_METADATA_CHUNK = "veilmark:metadata"
_NOTICE = "SYNTHETIC image: it shows no real person"
_XMP_CHUNK = "XML:com.adobe.xmp"
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:dc="http://purl.org/dc/elements/1.1/">
<Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>
<dc:identifier>{identifier}</dc:identifier>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True, kw_only=True, eq=False)
class FinalImage:
    """What a file holds: stored pixels [H, W] or [H, W, 3]; metadata None where the file is not ours."""

    pixels: NDArray[np.generic]
    metadata: ImageMetadata | None


class ImageWriter(Protocol):
    """Writes one final file of an image in a further format (such as DICOM), beside its PNG.

    `mark_id` is "" for an image without a mark; `index` counts the images of the release. A `label` that changes
    pixels stands in them already; an overlay is the writer's to add.
    """

    @property
    def suffix(self) -> str:
        """Of its files, such as ".dcm"."""

    def __call__(
        self,
        path: Path,
        pixels: NDArray[np.generic],
        metadata: ImageMetadata,
        *,
        mark_id: str,
        index: int,
        label: VisibleLabel,
    ) -> None: ...


def write_png(path: Path, pixels: NDArray[np.generic], metadata: ImageMetadata) -> None:
    """Write uint8 or uint16 [H, W], or uint8 [H, W, 3]. The same input gives the same bytes. Raises FileError."""
    write_atomically(path, png_bytes(pixels, metadata, where=path.name))


def png_bytes(pixels: NDArray[np.generic], metadata: ImageMetadata, *, where: str) -> bytes:
    """The file that `write_png` writes."""
    if not _is_png_kind(pixels):
        raise FileError(f"a PNG cannot hold {pixels.dtype} {list(pixels.shape)}", where=where)
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt(_METADATA_CHUNK, canonical_json(metadata.to_json()).decode())
    chunks.add_itxt(_XMP_CHUNK, _xmp(metadata))
    chunks.add_itxt("Comment", f"{_NOTICE}; release {metadata.release_id}, image {metadata.image_id}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", pnginfo=chunks, compress_level=6)
    return buffer.getvalue()


def metadata_comment(metadata: ImageMetadata) -> str:
    """The text that a DICOM writer puts into Image Comments, so that `read_final` finds the canonical metadata."""
    return canonical_json(metadata.to_json()).decode()


def read_final(data: bytes, *, where: str) -> FinalImage:
    """Read an image file of any kind that Pillow knows, or an uncompressed single-frame DICOM file.

    Raises FileError for anything else, for more than `MAX_PIXELS`, and for damaged metadata of ours.
    """
    if len(data) > MAX_FILE_BYTES:
        raise FileError(f"larger than {MAX_FILE_BYTES} bytes", where=where)
    is_dicom = data[128:132] == b"DICM"
    pixels, text = _read_dicom(data, where) if is_dicom else _read_picture(data, where)
    return FinalImage(pixels=pixels, metadata=_parse_metadata(text, where))


def _is_png_kind(pixels: NDArray[np.generic]) -> bool:
    if pixels.ndim == 2:
        return pixels.dtype in (np.uint8, np.uint16)
    return pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8


def _xmp(metadata: ImageMetadata) -> str:
    description = f"{_NOTICE}; label: {metadata.label}" if metadata.label else _NOTICE
    return _XMP.format(
        source_type=DIGITAL_SOURCE_TYPE,
        identifier=escape(f"{metadata.release_id}/{metadata.image_id}"),
        description=escape(description),
    )


def _read_picture(data: bytes, where: str) -> tuple[NDArray[np.generic], str | None]:
    with refusing(where), Image.open(io.BytesIO(data)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise FileError(f"declares {image.width} x {image.height} pixels", where=where)
        image.load()
        text = image.text.get(_METADATA_CHUNK) if isinstance(image, PngImagePlugin.PngImageFile) else None
        return _plain_pixels(image), text


def _plain_pixels(image: Image.Image) -> NDArray[np.generic]:
    """Grey stays grey with its depth; everything else becomes RGB."""
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    return np.asarray(image.convert("L" if image.mode in {"1", "L", "LA"} else "RGB"))


def _read_dicom(data: bytes, where: str) -> tuple[NDArray[np.generic], str | None]:
    with refusing(where):
        # From memory, so that a declared length can never make pydicom allocate more than the file holds.
        dataset = pydicom.dcmread(io.BytesIO(data))
        if dataset.file_meta.TransferSyntaxUID not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
            raise FileError("is compressed", where=where, remedy="decompress it to explicit VR little endian first")
        if dataset.Rows * dataset.Columns * int(dataset.get("NumberOfFrames") or 1) > MAX_PIXELS:
            raise FileError(f"declares more than {MAX_PIXELS} pixels", where=where)
        pixels = _in_stored_depth(dataset.pixel_array, dataset.BitsStored)
        comment = dataset.get("ImageComments")
    if pixels.dtype not in (np.uint8, np.uint16) or not (pixels.ndim == 2 or pixels.shape[2:] == (3,)):
        raise FileError(f"holds {pixels.dtype} {list(pixels.shape)}, not one unsigned image", where=where)
    return pixels, str(comment) if comment and str(comment).startswith("{") else None


def _in_stored_depth(pixels: NDArray[np.generic], bits: int) -> NDArray[np.generic]:
    """MR keeps 8 bits in words of 16 (PS3.3 C.8.3.1); pydicom has cleared all bits above those stored."""
    return pixels.astype(np.uint8) if pixels.dtype == np.uint16 and bits == 8 else pixels


def _parse_metadata(text: str | None, where: str) -> ImageMetadata | None:
    if text is None:
        return None
    try:
        return ImageMetadata.from_json(parse_object(text.encode(), where=where), where=where)
    except FormatError as error:
        raise FileError(f"carries damaged metadata ({error.what})", where=where) from error


@contextmanager
def refusing(where: str) -> Iterator[None]:
    """Turn whatever a decoder raises (or warns of) on hostile bytes into one refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FileError:
        raise
    except UnidentifiedImageError as error:
        raise FileError("is no image of a known kind", where=where) from error
    except Exception as error:  # decoders raise almost anything on damaged input
        reason = " ".join(str(error).split())[:120]
        raise FileError(f"is no image that can be read ({reason})", where=where) from error
