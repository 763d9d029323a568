"""C2PA manifests: the library's own reader trusts them under our root, and says what a changed byte breaks."""

from __future__ import annotations

import io
import json
import pickle
import re
import socket
from collections.abc import Callable
from pathlib import Path

import c2pa
import numpy as np
import pytest

from veilmark.crypto.certificates import Credential, Purpose
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import ImageMetadata, content_digest
from veilmark.provenance.embedded.c2pa_manifests import DICOM, PNG, C2paSealer
from veilmark.provenance.errors import FileError
from veilmark.provenance.files import DIGITAL_SOURCE_TYPE, png_bytes, read_final

ROW = ImageMetadata(release_id="demo-1", image_id="img-000", label="Pneumonia <&> Ödem", sex="F")
RANDOM = np.random.default_rng(0)
PIXELS = {
    "8 bit": RANDOM.integers(0, 256, (64, 64), dtype=np.uint8),
    "16 bit": RANDOM.integers(0, 65536, (64, 64), dtype=np.uint16),
    "colour": RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8),
}


@pytest.fixture(scope="module")
def sealer(make_credential: Callable[..., Credential]) -> C2paSealer:
    return C2paSealer(credential=make_credential(Purpose.C2PA), generator="phantoms", version="1.2.3")


@pytest.fixture(scope="module")
def read(sealer: C2paSealer):
    """State and codes of failure, as a reader that trusts the site's root says; or why there is no manifest."""
    anchors = {"trust": {"trust_anchors": sealer.credential.root_pem.decode()}}
    context = c2pa.Context.from_dict({**anchors, "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}})

    def check(data: bytes, media_type: str = "image/png", sidecar: bytes | None = None) -> tuple[str, set[str]]:
        try:
            reader = c2pa.Reader(media_type, io.BytesIO(data), sidecar, context=context)
        except c2pa.C2paError as error:
            return str(error), set()
        failures = reader.get_validation_results()["activeManifest"]["failure"]
        return reader.get_validation_state(), {failure["code"] for failure in failures}

    return check


@pytest.mark.parametrize("kind", PIXELS)
def test_the_reader_trusts_a_sealed_png_and_its_content_stays(kind: str, sealer: C2paSealer, read) -> None:
    plain = png_bytes(PIXELS[kind], ROW, where="x")
    sealed = sealer.seal(plain, where="images/img-000.png")
    assert read(sealed) == ("Trusted", set())
    final = read_final(sealed, where="x")
    assert final.metadata == ROW
    assert content_digest(final.pixels, final.metadata) == content_digest(PIXELS[kind], ROW)
    assert len(sealed) - len(plain) < 4096  # no thumbnail


def test_a_sealer_can_go_to_another_process(sealer: C2paSealer, read) -> None:
    plain = png_bytes(PIXELS["8 bit"], ROW, where="x")
    sealer.seal(plain, where="x.png")
    assert read(pickle.loads(pickle.dumps(sealer)).seal(plain, where="x.png")) == ("Trusted", set())  # noqa: S301


def test_it_says_who_made_what(sealer: C2paSealer) -> None:
    sealed = sealer.seal(png_bytes(PIXELS["8 bit"], ROW, where="x"), where="images/img-000.png")
    manifest = json.loads(c2pa.Reader("image/png", io.BytesIO(sealed)).json())
    (active,) = manifest["manifests"].values()
    assert (active["title"], active["signature_info"]["issuer"]) == ("img-000.png", "Test hospital")
    generator = active["claim_generator_info"][0]
    assert (generator["name"], generator["version"]) == ("Veilmark", "1.2.3")
    ((assertion,),) = ([row["data"]["actions"] for row in active["assertions"] if "actions" in row["label"]],)
    (action,) = assertion
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", DIGITAL_SOURCE_TYPE)
    assert action["softwareAgent"]["name"] == "phantoms"
    assert "thumbnail" not in active


def test_a_changed_byte_is_found_everywhere_but_in_the_manifests_padding(sealer: C2paSealer, read) -> None:
    sealed = sealer.seal(png_bytes(PIXELS["8 bit"], ROW, where="x"), where="x.png")
    begin = sealed.index(b"caBX") - 4
    end = begin + 12 + int.from_bytes(sealed[begin : begin + 4], "big")
    outside = [*range(8, begin, 7), *range(end, len(sealed), 61)]
    found = {position for position in outside if read(flipped(sealed, position))[0] not in {"Trusted", "Valid"}}
    assert sorted(found) == outside
    zeros = max(re.finditer(rb"\0+", sealed[begin:end]), key=lambda run: run.end() - run.start())
    padding = begin + (zeros.start() + zeros.end()) // 2
    assert read(flipped(sealed, padding)) == ("Trusted", set())  # which is why a bundle lists digests of whole files


def test_the_reader_names_what_a_change_breaks(sealer: C2paSealer, read) -> None:
    sealed = sealer.seal(png_bytes(PIXELS["8 bit"], ROW, where="x"), where="x.png")
    assert read(flipped(sealed, sealed.rindex(b"IDAT") + 40)) == ("Invalid", {"assertion.dataHash.mismatch"})
    assert read(sealed + b"more") == ("Invalid", {"assertion.dataHash.mismatch"})
    renamed = sealed.replace(b"c2pa.created", b"c2pa.opened_", 1)
    assert "assertion.hashedURI.mismatch" in read(renamed)[1]


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def test_a_plain_png_has_no_manifest(read) -> None:
    assert "ManifestNotFound" in read(png_bytes(PIXELS["8 bit"], ROW, where="x"))[0]


def test_another_site_is_not_trusted(make_credential, read) -> None:
    credential = make_credential(Purpose.C2PA, stranger=True)
    sealer = C2paSealer(credential=credential, generator="phantoms", version="1")
    state, failures = read(sealer.seal(png_bytes(PIXELS["8 bit"], ROW, where="x"), where="x.png"))
    assert (state, failures) == ("Valid", {"signingCredential.untrusted"})


def test_a_sidecar_binds_a_dicom_file(sealer: C2paSealer, read, tmp_path: Path) -> None:
    write = DicomWriter(generator="phantoms", version="1")
    write(tmp_path / "a.dcm", PIXELS["8 bit"], ROW, mark_id="", index=0)
    data = (tmp_path / "a.dcm").read_bytes()
    beside = C2paSealer(credential=sealer.credential, generator="phantoms", version="1", form=DICOM)
    sidecar = beside.seal(data, where="images/a.dcm")
    assert (beside.suffix, beside.sidecar_suffix, PNG.sidecar_suffix) == (".dcm", ".c2pa", "")
    assert read(data, DICOM.media_type, sidecar) == ("Trusted", set())
    for position in (0, 200, len(data) // 2, len(data) - 1):
        changed = read(flipped(data, position), DICOM.media_type, sidecar)
        assert changed == ("Invalid", {"assertion.dataHash.mismatch"})
    swapped = flipped(sidecar, re.search(rb"c2pa\.created", sidecar).start())  # type: ignore[union-attr]
    assert read(data, DICOM.media_type, swapped)[0] not in {"Trusted", "Valid"}


@pytest.mark.parametrize("data", [b"", b"no PNG", b"\x89PNG\r\n\x1a\n"], ids=["empty", "other", "cut"])
def test_what_is_no_png_is_refused(data: bytes, sealer: C2paSealer) -> None:
    with pytest.raises(FileError, match=r"x\.png: cannot take a C2PA manifest"):
        sealer.seal(data, where="x.png")


def test_sealing_opens_no_connection(sealer: C2paSealer, read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    assert read(sealer.seal(png_bytes(PIXELS["8 bit"], ROW, where="x"), where="x.png"))[0] == "Trusted"
