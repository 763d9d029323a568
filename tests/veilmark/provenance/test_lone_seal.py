"""A DICOM file or a PNG without its bundle: what its seal shows, and what becomes of everything done to it."""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pydicom.dataset import Dataset

from veilmark.crypto.certificates import Credential, Purpose
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.embedded.c2pa_manifests import C2paSealer
from veilmark.provenance.embedded.dicom_attributes import INDEX, INDEX_BLOCK, MAC_PARAMETERS, SIGNATURES
from veilmark.provenance.embedded.dicom_seal import read_dicom_seal
from veilmark.provenance.embedded.dicom_signature import DicomSealer
from veilmark.provenance.embedded.seal import SealState
from veilmark.provenance.files import png_bytes, read_final
from veilmark.provenance.tracing.files import dicom_with
from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verdict import Verdict, Verification
from veilmark.provenance.verify import verify_path
from veilmark.provenance.watermark import MarkId, mark_images

NOW = datetime.now(UTC)
AT = "2026-11-21T09:30:00Z"


@dataclass(frozen=True, kw_only=True)
class Site:
    """Two marked images as unsealed DICOM files and PNGs, and the trust root."""

    dicom: list[bytes]
    png: list[bytes]
    root: TrustRoot


@pytest.fixture(scope="module")
def site(tmp_path_factory, make_textured, make_rows, make_credential, make_signer) -> Site:
    folder = tmp_path_factory.mktemp("lone")
    ids = [MarkId.from_hex(f"100000{number}000000abc"[:16]) for number in (1, 2)]
    pixels = mark_images(make_textured(2, 64).astype(np.uint8), ids).images
    write = DicomWriter(generator="phantoms", version="1", modality="CR")
    files = []
    for index, row in enumerate(make_rows(2)):
        write(folder / "a.dcm", pixels[index], row, mark_id=ids[index].hex, index=index)
        files.append((folder / "a.dcm").read_bytes())
    certificate = make_credential(Purpose.DICOM).root.public_bytes(Encoding.DER)
    return Site(
        dicom=files,
        png=[png_bytes(image, row, where="x") for image, row in zip(pixels, make_rows(2), strict=True)],
        root=TrustRoot.of(make_signer(1), created_at=AT, certificate_roots=[certificate]),
    )


@pytest.fixture
def seal(make_credential: Callable[..., Credential]) -> Callable[..., bytes]:
    def sealed(data: bytes, *, signed_at: datetime = NOW, **whose: Any) -> bytes:
        credential = make_credential(Purpose.DICOM, **whose)
        return DicomSealer(credential=credential, signed_at=signed_at).seal(data, where="a.dcm")

    return sealed


@pytest.fixture
def check(site: Site, tmp_path: Path) -> Callable[..., Verification]:
    def verify(data: bytes, **changes: Any) -> Verification:
        (tmp_path / "lone").write_bytes(data)
        return verify_path(tmp_path / "lone", **{"trust_root": site.root, **changes})

    return verify


def changed(data: bytes, change: Callable[[Dataset], object]) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    change(dataset)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def without_seal(dataset: Dataset) -> None:
    for tag in (SIGNATURES, MAC_PARAMETERS, *INDEX_BLOCK):
        del dataset[tag]


def shorten_list(dataset: Dataset) -> None:
    parameters = dataset[MAC_PARAMETERS].value[0]
    parameters.DataElementsSigned = [tag for tag in parameters.DataElementsSigned if tag != 0x0008001C]


def test_a_whole_seal_is_said_to_be_whole_and_no_pass(site: Site, seal, check, dcmsign) -> None:
    sealed = seal(site.dicom[1])
    found = check(sealed)
    assert (found.verdict, found.exit_code, found.problems) == (Verdict.SEALED, 15, ())
    assert (found.release_id, found.image_id) == ("demo-1", "img-001")
    assert (found.seal.state, found.seal.signer) == (SealState.VERIFIED, "Test hospital")
    assert found.seal.signed_at == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found.to_json()["seal"]["state"] == "verified"
    assert dcmsign(sealed)[0] == 0


def test_a_grants_copy_of_a_sealed_file_is_sealed_anew(site: Site, seal, check) -> None:
    """What the release's seal left in the file does not speak in the copy's."""
    sealed = seal(site.dicom[0])
    pixels = read_final(sealed, where="a.dcm").pixels // 2
    copied = dicom_with(sealed, pixels, name="grant/img-000", where="a.dcm")
    assert check(seal(copied)).verdict is Verdict.SEALED
    assert check(copied).seal is None


def test_a_release_known_to_be_recalled_is_recalled(site: Site, seal, check) -> None:
    assert check(seal(site.dicom[0]), revoked=["demo-1"]).verdict is Verdict.RECALLED


ALTERATIONS: dict[str, tuple[Callable[[Dataset], object], dict[str, str]]] = {
    "pixel": (
        lambda row: setattr(row, "PixelData", bytes([row.PixelData[0] ^ 1]) + row.PixelData[1:]),
        {"PixelData": "changed"},
    ),
    "attribute": (lambda row: setattr(row, "PatientSex", "M"), {"PatientSex": "changed"}),
    "label dropped": (
        lambda row: delattr(row, "SyntheticData"),
        {"SyntheticData": "removed", "DataElementsSigned": "changed"},
    ),
    "label dropped from file and list": (
        lambda row: (shorten_list(row), delattr(row, "SyntheticData")),
        {"SyntheticData": "removed"},
    ),
    "list shortened": (shorten_list, {"DataElementsSigned": "changed"}),
    "attribute in a sequence": (
        lambda row: setattr(row.ContributingEquipmentSequence[0], "Manufacturer", "Other"),
        {"ContributingEquipmentSequence": "changed"},
    ),
    "algorithm downgraded": (
        lambda row: setattr(row[MAC_PARAMETERS].value[0], "MACAlgorithm", "SHA1"),
        {"MACAlgorithm": "changed"},
    ),
    "time of signing": (
        lambda row: setattr(row[SIGNATURES].value[0], "DigitalSignatureDateTime", "20200101000000.000000+0000"),
        {"DigitalSignaturesSequence": "changed"},
    ),
    "metadata": (lambda row: setattr(row, "ImageComments", "{"), {"ImageComments": "changed"}),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_is_named(name: str, site: Site, seal, check, dcmsign) -> None:
    change, expected = ALTERATIONS[name]
    altered = changed(seal(site.dicom[0]), change)
    found = check(altered)
    assert (found.verdict, found.exit_code, dict(found.seal.changed)) == (Verdict.ALTERED, 10, expected)
    assert all(any(part in problem.what for problem in found.problems) for part in expected)
    assert dcmsign(altered)[0] != 0 or name == "list shortened"


def test_what_dcmsign_overlooks_is_named_too(site: Site, seal, check, dcmsign) -> None:
    """Its list covers what the file names; here the list must name all there is."""
    altered = changed(seal(site.dicom[0]), lambda row: setattr(row, "PatientComments", "a real person"))
    found = check(altered)
    assert (found.verdict, found.seal.changed["PatientComments"]) == (Verdict.ALTERED, "added")
    assert dcmsign(altered)[0] == 0


def test_a_seal_moved_to_another_image_vouches_for_nothing(site: Site, seal, check, dcmsign) -> None:
    source = pydicom.dcmread(io.BytesIO(seal(site.dicom[0])))

    def move(dataset: Dataset) -> None:
        for tag in (SIGNATURES, MAC_PARAMETERS, *INDEX_BLOCK):
            dataset[tag] = source[tag]

    moved = changed(site.dicom[1], move)
    found = check(moved)
    assert (found.verdict, found.exit_code, found.image_id) == (Verdict.COPIED_MARK, 12, "")
    assert "content does not match" in found.problems[0].what
    assert dcmsign(moved)[0] != 0


def spoil_index(dataset: Dataset) -> None:
    dataset[INDEX].value = bytes(len(dataset[INDEX].value))


def sign_twice(dataset: Dataset) -> None:
    dataset[SIGNATURES].value.append(dataset[SIGNATURES].value[0])


def unchanged(_: Dataset) -> None:
    pass


REFUSALS: dict[str, tuple[dict[str, Any], Callable[[Dataset], object], str]] = {
    "another certificate": ({"stranger": True}, unchanged, "not of a root that is trusted"),
    "expired": ({"now": datetime(2020, 5, 5, tzinfo=UTC)}, unchanged, "to 2022-01-01"),
    "signed before its certificate": ({"signed_at": NOW - timedelta(days=9)}, unchanged, "outside its"),
    "no index, no whole signature": ({}, spoil_index, "no signed index tells"),
    "two signatures": ({}, sign_twice, "has not one signature"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_seal_that_is_not_ours_says_nothing(name: str, site: Site, seal, check, dcmsign) -> None:
    whose, change, words = REFUSALS[name]
    data = changed(seal(site.dicom[0], **whose), change)
    found = check(data)
    assert (found.verdict, found.exit_code, found.seal.state) == (Verdict.UNDETERMINED, 15, SealState.REFUSED)
    assert words in found.problems[0].what
    assert found.detection.detected
    accepted_there = {"two signatures", "signed before its certificate"}
    assert dcmsign(data)[0] != 0 or name in accepted_there


def test_an_attribute_that_comes_twice_is_refused(site: Site, seal, check) -> None:
    sealed = seal(site.dicom[0])
    label = b"\x08\x00\x1c\x00CS\x04\x00YES "
    at = sealed.index(label[:4])
    twice = sealed[:at] + label.replace(b"YES ", b"NO  ") + sealed[at:]
    found = check(twice)
    assert (found.verdict, found.seal.state) == (Verdict.UNDETERMINED, SealState.REFUSED)
    assert "repeats attributes" in found.problems[0].what


def test_no_flipped_byte_stays_sealed(site: Site, seal, make_credential) -> None:
    """Of the data set; what stands before it is not signed. Sequences' tags and lengths are not either, but read."""
    sealed = seal(site.dicom[0])
    begin = sealed.index(b"\x08\x00\x05\x00CS")
    item = sealed.index(b"\xfe\xff\x00\xe0")
    roots = [make_credential(Purpose.DICOM).root]
    states = set()
    for position in (*range(begin, len(sealed), 97), *range(item - 8, item + 8)):
        flipped = sealed[:position] + bytes([sealed[position] ^ 0x10]) + sealed[position + 1 :]
        found = read_dicom_seal(flipped, roots, where="a.dcm")
        states.add(found and found.state)
    assert SealState.ALTERED in states
    assert SealState.VERIFIED not in states


def test_a_stripped_seal_leaves_the_mark(site: Site, seal, check) -> None:
    found = check(changed(seal(site.dicom[0]), without_seal))
    assert (found.verdict, found.exit_code, found.seal) == (Verdict.MARK_ONLY, 11, None)


@pytest.mark.parametrize("kind", ["no root", "no certificate"])
def test_without_a_certificate_root_a_seal_is_not_read(kind: str, site: Site, seal, check) -> None:
    root = None if kind == "no root" else TrustRoot(identities=site.root.identities)
    found = check(seal(site.dicom[0]), trust_root=root)
    assert (found.verdict, found.seal.state) == (Verdict.MARK_ONLY, SealState.UNREAD)
    assert "no certificate root is pinned" in found.seal.what


@pytest.fixture
def seal_png(make_credential: Callable[..., Credential]) -> Callable[..., bytes]:
    def sealed(data: bytes, *, name: str = "img-000.png", **whose: Any) -> bytes:
        credential = make_credential(Purpose.C2PA, **whose)
        return C2paSealer(credential=credential, generator="phantoms", version="1").seal(data, where=name)

    return sealed


def manifest_chunk(png: bytes) -> slice:
    begin = png.index(b"caBX") - 4
    return slice(begin, begin + 12 + int.from_bytes(png[begin : begin + 4], "big"))


def test_a_sealed_png(site: Site, seal_png, check) -> None:
    found = check(seal_png(site.png[0]))
    assert (found.verdict, found.exit_code, found.image_id) == (Verdict.SEALED, 15, "img-000")
    assert (found.seal.kind, found.seal.signer) == ("C2PA manifest", "Test hospital")


def test_what_is_done_to_a_sealed_png(site: Site, seal_png, check) -> None:
    sealed = seal_png(site.png[0])
    chunk = manifest_chunk(sealed)
    other, at = site.png[1], chunk.start
    claim = sealed[chunk][4:-4].replace(b"img-000.png", b"img-009.png")
    renamed = sealed[chunk][:4] + claim + zlib.crc32(claim).to_bytes(4, "big")
    cases = {
        "byte added": (sealed + b"\0", Verdict.ALTERED, 10),
        "manifest moved": (other[:at] + sealed[chunk] + other[at:], Verdict.COPIED_MARK, 12),
        "manifest stripped": (sealed[:at] + sealed[chunk.stop :], Verdict.MARK_ONLY, 11),
        "another certificate": (seal_png(site.png[0], stranger=True), Verdict.UNDETERMINED, 15),
        "claim changed": (sealed[:at] + renamed + sealed[chunk.stop :], Verdict.UNDETERMINED, 15),
    }
    found = {name: check(data) for name, (data, _, _) in cases.items()}
    expected = {name: (verdict, code) for name, (_, verdict, code) in cases.items()}
    assert {name: (result.verdict, result.exit_code) for name, result in found.items()} == expected
    assert found["byte added"].seal.changed == {"assertion.dataHash.mismatch": "changed"}


def test_without_the_library_a_manifest_is_said_to_be_there(
    site: Site, seal_png, check, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = seal_png(site.png[0])
    monkeypatch.delitem(sys.modules, "veilmark.provenance.embedded.c2pa_seal", raising=False)
    monkeypatch.delitem(sys.modules, "veilmark.provenance.embedded.c2pa_manifests", raising=False)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = check(sealed)
    assert (found.verdict, found.seal.state) == (Verdict.MARK_ONLY, SealState.UNREAD)
    assert "pip install c2pa-python" in found.seal.what
