"""A zip from outside is unpacked whole, inside its folder, or not at all."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veilmark.cohorts.archives import ArchiveError, extract_zip


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def zip_of(path: Path, entries: dict[str, bytes], **options: object) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in options.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(bytes(data))


def not_a_zip(path: Path) -> None:
    path.write_text("I am a letter")


@pytest.mark.parametrize("damage", [cut, flipped, not_a_zip], ids=lambda damage: damage.__name__)
def test_a_damaged_zip_is_refused(tmp_path, target, damage):
    path = zip_of(tmp_path / "up.zip", {"metadata.csv": bytes(range(256)) * 20})
    damage(path)
    with pytest.raises(ArchiveError, match=r"^up\.zip: is no whole zip; upload it again"):
        extract_zip(path, target)


LEADS_OUT = ["../a.png", "a/../../b.png", "/etc/passwd", "..\\a.png", "C:\\a.png", "C:a.png"]


@pytest.mark.parametrize("name", LEADS_OUT)
def test_a_path_that_leads_out_is_refused(tmp_path, target, name):
    path = zip_of(tmp_path / "up.zip", {name: b"x"})
    with pytest.raises(ArchiveError, match="leads out of the archive; pack plain files only"):
        extract_zip(path, target)
    assert {entry.name for entry in tmp_path.iterdir()} == {"up.zip", "target"}
    assert not list(target.iterdir())


def test_a_link_is_refused(tmp_path, target):
    path = zip_of(tmp_path / "up.zip", {"link": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(ArchiveError, match="link: leads out of the archive"):
        extract_zip(path, target)
    assert not list(target.iterdir())


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")], ids=["same", "file first", "folder first"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path, target, names):
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    with pytest.raises(ArchiveError, match="holds one name twice"):
        extract_zip(tmp_path / "up.zip", target)


def test_a_bomb_is_refused_before_a_byte_is_unpacked(tmp_path, target):
    path = zip_of(tmp_path / "up.zip", {f"{i}.png": bytes(2**26) for i in range(4)})
    with pytest.raises(ArchiveError, match=r"unpacks to 4 files, 0\.2 GiB; split the upload"):
        extract_zip(path, target)
    assert not list(target.iterdir())


def test_one_top_folder_is_stepped_into_and_resource_forks_are_left_out(tmp_path, target):
    path = zip_of(tmp_path / "up.zip", {"top/metadata.csv": b"a", "__MACOSX/top/._metadata.csv": b"b"})
    assert [entry.name for entry in extract_zip(path, target).iterdir()] == ["metadata.csv"]


NAMES = st.text(st.sampled_from("ab./\\: é"), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(entries=st.dictionaries(NAMES, st.binary(max_size=20), max_size=4))
def test_any_zip_is_unpacked_inside_its_folder_or_refused(tmp_path_factory, entries):
    folder = tmp_path_factory.mktemp("zip")
    (folder / "target").mkdir()
    path = zip_of(folder / "up.zip", entries)
    try:
        extract_zip(path, folder / "target")
    except ArchiveError:
        pass
    else:
        contents = sorted(found.read_bytes() for found in (folder / "target").rglob("*") if found.is_file())
        assert contents == sorted(content for name, content in entries.items() if not name.endswith("/"))
    assert {entry.name for entry in folder.iterdir()} == {"up.zip", "target"}
