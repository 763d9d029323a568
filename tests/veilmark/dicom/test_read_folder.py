"""Reading a folder: what is kept, what is hidden, and that no file takes the others down."""

from __future__ import annotations

import os
import resource
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from veilmark.dicom.base import DicomError, FolderReading, ReadLimits
from veilmark.dicom.child import Child
from veilmark.dicom.codes import RandomCodes, keyed_codes
from veilmark.dicom.folder import of_one_shape, read_folder
from veilmark.dicom.header import age_of

WriteFile = Callable[..., Path]
RAMP = np.arange(64, dtype=np.uint16).reshape(8, 8)


def read(folder: Path, **options: object) -> FolderReading:
    return read_folder(folder, codes=RandomCodes(), **options)  # type: ignore[arg-type]


def reason(folder: Path, **options: object) -> str:
    reading = read(folder, **options)
    assert reading.images == ()
    assert len(reading.refused) == 1
    return reading.refused[0].reason


def test_header_is_kept_without_identity(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm")
    (image,) = read(folder).images
    assert (image.sex, image.age, image.view, image.modality) == ("F", 45, "PA", "CR")
    assert (image.body_part, image.site, image.file, image.frame) == ("CHEST", "ACME", "a.dcm", 0)
    shown = repr(image)
    for secret in ("4711", "Nobody", "1.2.826", "2.25."):
        assert secret not in shown


def test_one_person_gets_one_code(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm")
    write_file("b.dcm", PatientName="Another^Spelling", InstanceNumber=2)
    write_file("c.dcm", PatientID="P-4712")
    codes = keyed_codes(bytes(32))
    images = read_folder(folder, codes=codes).images
    first, second, third = (image.subject for image in images)
    assert first == second != third
    assert first == codes("subject", "P-4711")
    assert keyed_codes(b"1" * 32)("subject", "P-4711") != first
    assert codes("study", "P-4711") != first
    assert len({image.instance for image in images}) == 3


def test_short_keys_are_refused() -> None:
    with pytest.raises(DicomError, match="key"):
        keyed_codes(b"short")


REFUSED = {
    "no person": ({"PatientID": None}, "has no PatientID"),
    "blank person": ({"PatientID": "  "}, "has no PatientID"),
    "no study": ({"StudyInstanceUID": None}, "has no StudyInstanceUID"),
    "no pixels": ({"PixelData": None}, "has no pixels"),
    "burned-in text": ({"BurnedInAnnotation": "YES"}, "burned-in"),
    "a face": ({"RecognizableVisualFeatures": "YES"}, "face"),
    "segmentation": ({"Modality": "SEG"}, "no acquired image"),
    "no rows": ({"Rows": None}, "how large"),
    "huge image": ({"Rows": 60_000, "Columns": 60_000}, "declares 14400000000 bytes"),
    "many frames": ({"NumberOfFrames": 300}, "300 frames"),
    "more frames than pixels": ({"NumberOfFrames": 9}, "cannot be decoded"),
    "more rows than pixels": ({"Rows": 800}, "cannot be decoded"),
    "unknown photometric": ({"PhotometricInterpretation": "CMYK"}, "neither grey nor colour"),
}


def zip_bytes() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.dcm", b"x")
    return out.getvalue()


def tar_bytes() -> bytes:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../etc/passwd")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    return out.getvalue()


NO_DICOM = {
    "empty": (b"", "no DICOM"),
    "text": (b"index,subject\n", "no DICOM"),
    "short preamble": (bytes(128) + b"DIC", "no DICOM"),
    "preamble alone": (bytes(128) + b"DICM", "cannot|no pixels|no PatientID"),
    "noise after the preamble": (bytes(128) + b"DICM" + bytes(range(256)) * 8, "cannot|no pixels"),
    "zip": (zip_bytes(), "zip archive"),
    "tar with links": (tar_bytes(), "gzip archive"),
    "program": (b"MZ" + bytes(126) + b"DICM", "program"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory, write_dicom: Callable[..., None]) -> dict[str, str]:
    """Every bad file in one folder, with a good one at the end of the names: file to reason."""
    folder = tmp_path_factory.mktemp("bad")
    for name, (elements, _) in REFUSED.items():
        write_dicom(folder / name, **elements)
    for name, (content, _) in NO_DICOM.items():
        (folder / name).write_bytes(content)
    write_dicom(folder / "zz good")
    reading = read(folder)
    assert [image.file for image in reading.images] == ["zz good"]
    return {refused.file: refused.reason for refused in reading.refused}


@pytest.mark.parametrize("name", [*REFUSED, *NO_DICOM])
def test_refused_with_reason(refusals: dict[str, str], name: str) -> None:
    words = (REFUSED | NO_DICOM)[name][1]
    assert any(word in refusals[name] for word in words.split("|"))
    assert "\n" not in refusals[name]
    assert "4711" not in refusals[name]


def test_declared_length_beyond_the_file(folder: Path, write_file: WriteFile) -> None:
    path = write_file("a.dcm")
    content = path.read_bytes()
    at = content.index(b"\xe0\x7f\x10\x00OW")
    path.write_bytes(content[: at + 8] + b"\xf0\xff\xff\xff" + content[at + 12 : -20])
    assert "cannot be decoded" in reason(folder)


def test_links_and_pipes_are_not_followed(folder: Path, write_file: WriteFile, tmp_path: Path) -> None:
    real = write_file("a.dcm").rename(tmp_path / "outside.dcm")
    (folder / "file.dcm").symlink_to(real)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.dcm")
    reading = read(folder)
    assert reading.images == ()
    assert {refused.file: refused.reason for refused in reading.refused} == {
        "file.dcm": "is a link",
        "folder": "is a link",
        "pipe.dcm": "is no regular file",
    }


def test_a_file_that_is_too_large(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm")
    assert "larger than 500 bytes" in reason(folder, limits=ReadLimits(file_bytes=500))


def test_memory_is_limited_and_the_others_are_read(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm")
    write_file("b.dcm", np.zeros((8000, 8000), np.uint16))
    write_file("c.dcm")
    limits = ReadLimits(memory_bytes=700 * 2**20, pixel_bytes=2**40)
    reading = read(folder, limits=limits)
    assert [image.file for image in reading.images] == ["a.dcm", "c.dcm"]
    (refused,) = reading.refused
    assert refused.file == "b.dcm"
    assert "memory" in refused.reason or "crashed" in refused.reason


def test_a_deflated_bomb_is_refused(folder: Path, write_file: WriteFile) -> None:
    meta = write_file("a.dcm", transfer_syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = b"".join(compressor.compress(bytes(2**24)) for _ in range(24)) + compressor.flush()
    length = 128 + 4 + 12 + int.from_bytes(meta[140:144], "little")
    (folder / "a.dcm").write_bytes(meta[:length] + bomb)
    found = reason(folder, limits=ReadLimits(memory_bytes=600 * 2**20))
    assert "memory" in found or "crashed" in found


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with Child(bit_depth=8, size=None, limits=ReadLimits(pixel_bytes=2**24)) as process:
        yield process


def test_the_child_is_limited_and_knows_no_secret(
    folder: Path, write_file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEILMARK_PASSPHRASE", "a secret")
    limits = ReadLimits(memory_bytes=900 * 2**20)
    with Child(bit_depth=8, size=None, limits=limits) as child:
        assert child.read(str(write_file("a.dcm"))).frames
        pid = child._process.pid
        assert b"a secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert resource.prlimit(pid, resource.RLIMIT_AS) == (limits.memory_bytes, limits.memory_bytes)
        assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_CPU)[0] < limits.seconds + 30
    assert not Path(f"/proc/{pid}").exists()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_survived(folder: Path, write_file: WriteFile, child: Child, data: st.DataObject) -> None:
    """Some changed bytes leave a readable file; none may kill the process or answer anything else."""
    content = bytearray(write_file("a.dcm").read_bytes())
    for position in data.draw(st.lists(st.integers(128, len(content) - 1), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    (folder / "a.dcm").write_bytes(content[: data.draw(st.integers(132, len(content)))])
    answer = child.read(str(folder / "a.dcm"))
    assert bool(answer.refused) != bool(answer.frames)
    assert "4711" not in answer.refused


def test_time_is_limited_and_the_others_are_read(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm")
    slow = np.zeros((120, 1000, 1000), np.uint8)
    write_file("b.dcm", slow, NumberOfFrames=120, WindowCenter=1, WindowWidth=4, VOILUTFunction="SIGMOID")
    write_file("c.dcm")
    limits = ReadLimits(seconds=1, pixel_bytes=2**30)
    reading = read(folder, limits=limits)
    assert [image.file for image in reading.images] == ["a.dcm", "c.dcm"]
    assert [refused.file for refused in reading.refused] == ["b.dcm"]
    assert "seconds" in reading.refused[0].reason or "crashed" in reading.refused[0].reason


@pytest.mark.parametrize(
    ("stated", "born", "age"),
    [
        ("045Y", "", 45),
        ("090Y", "", 90),
        ("101Y", "", 90),
        ("006M", "", 0),
        ("030M", "", 2),
        ("", "19600601", 61),
        ("", "19600531", 62),
        ("", "19200101", 90),
        ("", "", None),
        ("", "20300101", None),
    ],
)
def test_age(stated: str, born: str, age: int | None) -> None:
    header = Dataset()
    header.PatientAge, header.PatientBirthDate, header.StudyDate = stated, born, "20220531"
    assert age_of(header) == age


def test_unclear_words_of_the_header_become_unknown(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm", PatientSex="X", PatientAge="", ViewPosition="", Manufacturer="A" * 64)
    write_file("b.dcm", PatientSex="O")
    first, second = read(folder).images
    assert (first.sex, first.age, first.view, first.site) == ("", None, "", "A" * 64)
    assert second.sex == "O"


def test_frames_are_images_of_one_person(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm", np.stack([RAMP, RAMP[::-1], RAMP.T]), NumberOfFrames=3)
    images = read(folder).images
    assert [image.frame for image in images] == [0, 1, 2]
    assert len({(image.subject, image.instance) for image in images}) == 1
    assert np.array_equal(images[1].pixels, images[0].pixels[::-1])


def test_sizes(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm", np.full((8, 16), 200, np.uint8), WindowCenter=128, WindowWidth=256)
    write_file("b.dcm")
    write_file("c.dcm")
    one_shape = of_one_shape(read(folder))
    assert [image.file for image in one_shape.images] == ["b.dcm", "c.dcm"]
    assert "another image size" in one_shape.refused[0].reason
    wide = read(folder, size=32).images[0].pixels
    assert wide.shape == (32, 32)
    assert (wide[:8].max(), wide[8:24].min(), wide[24:].max()) == (0, 200, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"bit_depth": 16}, "bit depth"), ({"size": 4}, "size"), ({"size": 10**6}, "size")],
    ids=["depth", "small", "large"],
)
def test_bad_options(folder: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(DicomError, match=words):
        read(folder, **options)


def test_bad_folders(folder: Path) -> None:
    with pytest.raises(DicomError, match="is empty"):
        read(folder)
    with pytest.raises(DicomError, match="is no folder"):
        read(folder / "nowhere")


def test_progress_ends_at_the_total(folder: Path, write_file: WriteFile) -> None:
    write_file("a.dcm")
    write_file("b.dcm", PatientID=None)
    (folder / "c.dcm").symlink_to(folder / "a.dcm")
    told: list[tuple[int, int]] = []
    read(folder, progress=lambda done, total, _: told.append((done, total)))
    assert told[-1] == (3, 3)
    assert told == sorted(told)


def test_real_files(shared_data: Path) -> None:
    """Every file of the collection is read or refused with a reason; nothing hostile gives an image."""
    reading = read(shared_data / "dicom")
    decoded = {image.file for image in reading.images}
    refused = {refused.file for refused in reading.refused}
    n_files = sum(1 for path in (shared_data / "dicom").rglob("*") if path.is_file())
    assert not decoded & refused
    assert len(decoded) + len(refused) == n_files
    assert not [name for name in decoded if name.startswith("hostile/")]
    assert all(refused.reason and "\n" not in refused.reason for refused in reading.refused)
    assert len(decoded) >= 500
    assert {str(image.pixels.dtype) for image in reading.images} == {"uint8"}
