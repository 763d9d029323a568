"""Final files say that they are synthetic, and read back as what was written."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import ImageMetadata, content_digest
from veilmark.provenance.errors import FileError, FormatError
from veilmark.provenance.files import DIGITAL_SOURCE_TYPE, png_bytes, read_final, write_png

ROW = ImageMetadata(release_id="demo-1", image_id="img-000", label="Pneumonia <&> Ödem", sex="F", age_group="60-69")
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
PIXELS = {
    "grey 8": np.arange(64 * 80, dtype=np.uint16).reshape(64, 80).astype(np.uint8),
    "grey 12": np.arange(64 * 64, dtype=np.uint16).reshape(64, 64),
    "colour": np.arange(64 * 64 * 3, dtype=np.uint16).reshape(64, 64, 3).astype(np.uint8),
}


@pytest.mark.parametrize("kind", PIXELS)
def test_png_and_dicom_share_the_content_digest(kind: str, tmp_path: Path) -> None:
    pixels = PIXELS[kind]
    expected = content_digest(pixels, ROW)
    write_png(tmp_path / "a.png", pixels, ROW)
    DicomWriter(generator="phantoms", version="1")(tmp_path / "a.dcm", pixels, ROW, mark_id="", index=0)
    for name in ("a.png", "a.dcm"):
        final = read_final((tmp_path / name).read_bytes(), where=name)
        assert final.metadata == ROW
        assert final.pixels.dtype == pixels.dtype
        assert (final.pixels == pixels).all()
        assert content_digest(final.pixels, final.metadata) == expected


def test_a_16_bit_png_reads_back() -> None:
    pixels = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    final = read_final(png_bytes(pixels, ROW, where="x"), where="x")
    assert final.pixels.dtype == np.uint16
    assert (final.pixels == pixels).all()


def test_a_png_says_that_it_is_synthetic() -> None:
    image = Image.open(io.BytesIO(png_bytes(PIXELS["grey 8"], ROW, where="x")))
    xmp = image.info["XML:com.adobe.xmp"]
    assert f"<Iptc4xmpExt:DigitalSourceType>{DIGITAL_SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>" in xmp
    assert "Pneumonia &lt;&amp;&gt; Ödem" in xmp
    assert image.info["Comment"].startswith("SYNTHETIC")


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, position = [], 8
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        found.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    return found


def test_the_xmp_packet_is_where_and_what_the_standard_says() -> None:
    """XMP part 3 (ISO 16684-1), PNG: one uncompressed iTXt before the pixels, a packet marked read-only."""
    names = [(name, body[:17]) for name, body in chunks(png_bytes(PIXELS["grey 8"], ROW, where="x"))]
    (place,) = [i for i, found in enumerate(names) if found == (b"iTXt", b"XML:com.adobe.xmp")]
    assert place < [name for name, _ in names].index(b"IDAT")
    body = chunks(png_bytes(PIXELS["grey 8"], ROW, where="x"))[place][1]
    assert body[17:22] == bytes(5)  # keyword's end, not compressed, no language, no translation
    packet = body[22:].decode()
    assert packet.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    assert packet.endswith('<?xpacket end="r"?>')
    description = ElementTree.fromstring(packet).find(f"{RDF}RDF/{RDF}Description")  # noqa: S314 (our own bytes)
    assert description is not None
    assert description.get(f"{RDF}about") == ""
    assert {child.tag: len(child) for child in description} == {
        "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType": 0,  # a simple text that holds a URI
        "{http://purl.org/dc/elements/1.1/}identifier": 0,
        "{http://purl.org/dc/elements/1.1/}description": 1,
    }
    (line,) = description.findall(f".//{RDF}Alt/{RDF}li")
    assert line.get("{http://www.w3.org/XML/1998/namespace}lang") == "x-default"
    assert line.text == "SYNTHETIC image: it shows no real person; label: Pneumonia <&> Ödem"


def test_8_bits_in_words_of_16_read_back_as_8(tmp_path: Path) -> None:
    write = DicomWriter(generator="g", version="1", modality="MR")
    write(tmp_path / "a.dcm", PIXELS["grey 8"], ROW, mark_id="", index=0)
    assert pydicom.dcmread(tmp_path / "a.dcm").BitsAllocated == 16
    final = read_final((tmp_path / "a.dcm").read_bytes(), where="a.dcm")
    assert final.pixels.dtype == np.uint8
    assert np.array_equal(final.pixels, PIXELS["grey 8"])


def test_a_dicom_file_says_that_it_is_synthetic(tmp_path: Path) -> None:
    write = DicomWriter(generator="phantoms", version="1")
    write(tmp_path / "a.dcm", PIXELS["grey 8"], ROW, mark_id="1" * 16, index=0)
    assert pydicom.dcmread(tmp_path / "a.dcm").SyntheticData == "YES"


def test_the_same_image_gives_the_same_bytes() -> None:
    assert png_bytes(PIXELS["colour"], ROW, where="x") == png_bytes(PIXELS["colour"], ROW, where="x")


def test_re_encoding_a_png_keeps_the_content_digest() -> None:
    """An embedded signature rewrites the file around pixels and metadata; here, a chunk is added."""
    data = png_bytes(PIXELS["grey 8"], ROW, where="x")
    end = data.index(b"IEND") - 4
    chunk = b"\x00\x00\x00\x01prVt!" + zlib.crc32(b"prVt!").to_bytes(4, "big")
    final = read_final(data[:end] + chunk + data[end:], where="x")
    assert content_digest(final.pixels, final.metadata) == content_digest(PIXELS["grey 8"], ROW)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(FileError):
        read_final(data, where="x")


@settings(deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read_and_never_crash(data: st.DataObject) -> None:
    whole = bytearray(png_bytes(PIXELS["grey 8"], ROW, where="x"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(FileError):
        read_final(bytes(whole[: data.draw(st.integers(1, len(whole)))]), where="x")


def test_a_declared_size_is_refused_before_it_is_allocated() -> None:
    data = bytearray(png_bytes(PIXELS["grey 8"], ROW, where="x"))
    data[16:24] = (2**30).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    code = (
        "import resource,sys; resource.setrlimit(resource.RLIMIT_AS,(3<<30,3<<30))\n"
        "from veilmark.provenance.files import read_final\n"
        "try: read_final(sys.stdin.buffer.read(), where='x')\n"
        "except Exception as error: print(type(error).__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], input=bytes(data), capture_output=True, check=True)
    assert run.stdout.strip() == b"FileError"


@pytest.mark.parametrize(
    "fields",
    [{"image_id": "../x"}, {"image_id": ""}, {"release_id": "a/b"}, {"label": "a\nb"}, {"label": "x" * 201}],
    ids=str,
)
def test_metadata_that_is_no_plain_text_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(FormatError):
        ImageMetadata(**{"release_id": "r", "image_id": "i", **fields})


def test_content_digest_depends_on_all_it_covers() -> None:
    pixels = PIXELS["grey 8"]
    other = ImageMetadata(release_id="demo-1", image_id="img-000", label="none")
    digests = {
        content_digest(pixels, ROW),
        content_digest(pixels, other),
        content_digest(pixels.T, ROW),
        content_digest(pixels.reshape(32, 160), ROW),
        content_digest(pixels.astype(np.uint16), ROW),
    }
    assert len(digests) == 5


def test_floats_are_refused() -> None:
    with pytest.raises(FileError, match="cannot hold float64"):
        png_bytes(np.zeros((64, 64)), ROW, where="x")
