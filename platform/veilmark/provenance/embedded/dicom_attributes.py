"""A data set's attributes as the bytes that are signed, and the index of their digests.

The bytes are the attributes in explicit VR little endian; sequences and items stand there with their tags but without
lengths (PS3.3 C.12.1.1.3.1.1), so that writing them anew in another form changes nothing. Values are taken as they lie
in the file: nothing is parsed and written again that a reader might take for something else.

One signature over all attributes says that something was changed, never what. So the index, a private attribute, holds
the digest of every attribute and a signature of its own.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.sequence import Sequence

SIGNATURES = 0xFFFAFFFA
MAC_PARAMETERS = 0x4FFE0001
INDEX_CREATOR, INDEX, INDEX_SIGNATURE = 0x00410010, 0x00411001, 0x00411002
INDEX_BLOCK = {INDEX_CREATOR, INDEX, INDEX_SIGNATURE}
INDEX_NAME = "VEILMARK SEAL 1"
_INDEX_CONTEXT = b"veilmark/dicom-seal-index/1\0"
_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0"
_ROW = struct.Struct(">I32s")

Element = DataElement | RawDataElement


def elements_of(dataset: Dataset, *, without: Iterable[int] = ()) -> list[Element]:
    """The attributes by rising tag, sequences parsed, all others as they lie in the file."""
    left_out = set(without)
    return [_element(dataset, int(tag)) for tag in sorted(dataset.keys()) if int(tag) not in left_out]


def encoded(elements: Iterable[Element]) -> bytes:
    """The bytes that a signature is taken over."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    for element in elements:
        _encode(stream, element)
    return stream.getvalue()


def attribute_digests(dataset: Dataset) -> dict[int, bytes]:
    """Tag to SHA-256 of each attribute but the signatures and the index."""
    elements = elements_of(dataset, without={SIGNATURES, MAC_PARAMETERS, *INDEX_BLOCK})
    return {int(element.tag): hashlib.sha256(encoded([element])).digest() for element in elements}


def index_bytes(digests: Mapping[int, bytes]) -> bytes:
    """The value of the index: tag and digest, 36 bytes an attribute."""
    return b"".join(_ROW.pack(tag, digests[tag]) for tag in sorted(digests))


def parse_index(data: bytes) -> dict[int, bytes]:
    """The inverse of `index_bytes`. Raises ValueError."""
    if len(data) % _ROW.size:
        raise ValueError("the index of attributes is torn")
    return dict(_ROW.iter_unpack(data))


def index_message(index: bytes) -> bytes:
    """What the index's own signature is over: no data set begins like this."""
    return _INDEX_CONTEXT + index


def _element(dataset: Dataset, tag: int) -> Element:
    element = dataset.get_item(tag)
    return dataset[tag] if element.VR in {"SQ", None} else element


def _encode(stream: DicomBytesIO, element: Element) -> None:
    if not isinstance(element.value, Sequence):
        write_data_element(stream, element)
        return
    stream.write(element.tag.group.to_bytes(2, "little") + element.tag.element.to_bytes(2, "little") + b"SQ\0\0")
    for item in element.value:
        stream.write(_ITEM)
        for inner in elements_of(item):
            _encode(stream, inner)
    stream.write(_SEQUENCE_END)
