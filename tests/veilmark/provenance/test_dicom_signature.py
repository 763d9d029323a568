"""DICOM signatures: dcmtk accepts them as of the Creator RSA profile, and refuses every change."""

from __future__ import annotations

import io
import pickle
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from veilmark.crypto.certificates import Credential, Purpose
from veilmark.dicom.kinds import KINDS
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import ImageMetadata, content_digest
from veilmark.provenance.embedded.dicom_signature import DicomSealer
from veilmark.provenance.embedded.visible_label import VisibleLabel
from veilmark.provenance.errors import FileError
from veilmark.provenance.files import read_final

ROW = ImageMetadata(release_id="demo-1", image_id="img-000", label="Pneumonia <&> Ödem", sex="F", age_group="60-69")
RANDOM = np.random.default_rng(0)
PIXELS = {
    "8 bit": RANDOM.integers(0, 256, (61, 63), dtype=np.uint8),
    "12 bit": RANDOM.integers(0, 4096, (64, 80), dtype=np.uint16),
    "colour": RANDOM.integers(0, 256, (61, 61, 3), dtype=np.uint8),
}


@pytest.fixture(scope="module")
def sealer(make_credential: Callable[..., Credential]) -> DicomSealer:
    return DicomSealer(credential=make_credential(Purpose.DICOM), signed_at=datetime.now(UTC))


@pytest.fixture
def make_signed(sealer: DicomSealer, tmp_path: Path):
    def make(kind: str = "8 bit", modality: str = "OT", label: VisibleLabel = VisibleLabel.NONE) -> bytes:
        write = DicomWriter(generator="phantoms", version="1", modality=modality)
        write(tmp_path / "plain.dcm", PIXELS[kind], ROW, mark_id="1" * 16, index=0, label=label)
        return sealer.seal((tmp_path / "plain.dcm").read_bytes(), where="plain.dcm")

    return make


@pytest.mark.parametrize("modality", KINDS)
@pytest.mark.parametrize("kind", PIXELS)
def test_dcmsign_accepts_every_kind(modality: str, kind: str, make_signed, dcmsign) -> None:
    signed = make_signed(kind, modality, VisibleLabel.OVERLAY)
    code, words = dcmsign(signed)
    assert (code, "Signature Verification : OK" in words) == (0, True), words
    final = read_final(signed, where="signed.dcm")
    assert final.metadata == ROW
    assert content_digest(final.pixels, final.metadata) == content_digest(PIXELS[kind], ROW)


def flip_pixel(dataset: Dataset) -> None:
    dataset.PixelData = bytes([dataset.PixelData[0] ^ 1]) + dataset.PixelData[1:]


def drop_label(dataset: Dataset) -> None:
    del dataset.SyntheticData


def rename_equipment(dataset: Dataset) -> None:
    dataset.ContributingEquipmentSequence[0].Manufacturer = "Other"


def move_time(dataset: Dataset) -> None:
    dataset.DigitalSignaturesSequence[0].DigitalSignatureDateTime = "20200101000000.000000+0000"


def change_uid(dataset: Dataset) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"


def hide_from_signature(dataset: Dataset) -> None:
    parameters = dataset.MACParametersSequence[0]
    parameters.DataElementsSigned = [tag for tag in parameters.DataElementsSigned if tag != 0x0008001C]
    drop_label(dataset)


def clear_overlay(dataset: Dataset) -> None:
    dataset[0x6000, 0x3000].value = bytes(len(dataset[0x6000, 0x3000].value))


CHANGES = [flip_pixel, drop_label, rename_equipment, move_time, change_uid, hide_from_signature, clear_overlay]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_dcmsign_refuses_a_change(change: Callable[[Dataset], None], make_signed, dcmsign) -> None:
    dataset = pydicom.dcmread(io.BytesIO(make_signed(label=VisibleLabel.OVERLAY)))
    change(dataset)
    changed = io.BytesIO()
    dataset.save_as(changed, enforce_file_format=True)
    code, words = dcmsign(changed.getvalue())
    assert code != 0
    assert "OK" not in words


def test_writing_it_anew_keeps_the_signature(make_signed, dcmsign) -> None:
    """Lengths of sequences are not signed: a file written with undefined ones is the same."""
    dataset = pydicom.dcmread(io.BytesIO(make_signed()))
    for item in dataset.ContributingEquipmentSequence:
        item.is_undefined_length_sequence_item = True
    dataset["ContributingEquipmentSequence"].is_undefined_length = True
    again = io.BytesIO()
    dataset.save_as(again, enforce_file_format=True)
    assert again.getvalue() != make_signed()
    assert dcmsign(again.getvalue())[0] == 0


def test_a_root_of_another_site_is_not_enough(make_signed, make_credential, tmp_path: Path, dcmsign) -> None:
    sealer = DicomSealer(credential=make_credential(Purpose.DICOM, stranger=True), signed_at=datetime.now(UTC))
    make_signed()
    code, words = dcmsign(sealer.seal((tmp_path / "plain.dcm").read_bytes(), where="plain.dcm"))
    assert (code != 0, "untrusted" in words.lower() or "unable to get" in words.lower()) == (True, True), words


def test_equal_input_gives_equal_bytes(make_signed, sealer: DicomSealer, tmp_path: Path) -> None:
    signed = make_signed()
    assert signed == make_signed()
    elsewhere = pickle.loads(pickle.dumps(sealer))  # noqa: S301
    assert signed == elsewhere.seal((tmp_path / "plain.dcm").read_bytes(), where="plain.dcm")


def test_dciodvfy_finds_no_error_in_a_signed_file(
    make_signed, tmp_path: Path, require_program: Callable[[str, str], Path]
) -> None:
    dciodvfy = require_program("dciodvfy", "dicom3tools")
    (tmp_path / "signed.dcm").write_bytes(make_signed("12 bit", "CT"))
    found = subprocess.run([dciodvfy, tmp_path / "signed.dcm"], capture_output=True, text=True, check=False).stderr
    errors = [line for line in found.splitlines() if line.startswith("Error")]
    assert [line for line in errors if "(0x0008,0x001c)" not in line] == []


def test_what_cannot_be_signed_is_refused(make_signed, make_credential, sealer: DicomSealer) -> None:
    signed = make_signed()
    with pytest.raises(FileError, match="carries a signature"):
        sealer.seal(signed, where="a.dcm")
    for data in (b"", b"no DICOM", signed[:140]):
        with pytest.raises(FileError, match=r"a\.dcm: "):
            sealer.seal(data, where="a.dcm")
    with pytest.raises(FileError, match="no RSA key"):
        DicomSealer(credential=make_credential(Purpose.C2PA), signed_at=datetime.now(UTC))
