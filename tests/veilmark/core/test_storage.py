"""Files at rest: what comes back is what was put, and what lies on disk tells nothing."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veilmark.core.errors import ApplicationError, NotFoundError
from veilmark.core.storage import FileStore, data_key_create, file_store
from veilmark.crypto.base import CryptoError

PLAIN = b"chest image of subject 17 " * 10_000
NAME = "cohorts/1/images.npz"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "files")


@pytest.fixture(scope="module")
def key(var: Path) -> bytes:
    return data_key_create()


def on_disk(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


@pytest.mark.parametrize("content", [PLAIN, io.BytesIO(PLAIN)], ids=["bytes", "stream"])
def test_what_was_put_comes_back_and_only_ciphertext_lies_there(store, key, tmp_path, content):
    stored = store.put(NAME, content, wrapped_key=key)
    assert (stored.size, stored.digest[:7]) == (len(PLAIN), "sha256:")
    assert store.read(NAME, wrapped_key=key) == PLAIN
    assert store.size(NAME) == len(PLAIN)
    (path,) = on_disk(tmp_path)
    assert b"subject 17" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


@given(start=st.integers(0, len(PLAIN)), length=st.integers(0, 200_000))
def test_any_range_reads_as_the_whole_does(var, start, length):
    store, key = file_store(), data_key_create()
    store.put("ranges/one", PLAIN, wrapped_key=key)
    stop = min(len(PLAIN), start + length)
    assert b"".join(store.read_range("ranges/one", wrapped_key=key, start=start, stop=stop)) == PLAIN[start:stop]


def test_a_new_content_replaces_the_old_whole(store, key, tmp_path):
    store.put(NAME, PLAIN, wrapped_key=key)
    store.put(NAME, b"short", wrapped_key=key)
    assert store.read(NAME, wrapped_key=key) == b"short"
    assert len(on_disk(tmp_path)) == 1


def test_a_put_that_breaks_leaves_what_was_there(store, key, tmp_path):
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the upload was cut")

    store.put(NAME, b"old", wrapped_key=key)
    with pytest.raises(OSError, match="cut"):
        store.put(NAME, Broken(), wrapped_key=key)
    assert store.read(NAME, wrapped_key=key) == b"old"
    assert len(on_disk(tmp_path)) == 1


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("harm", [flip, cut, lambda path: path.write_bytes(b"")], ids=["bit", "cut", "emptied"])
def test_a_changed_file_is_refused(store, key, tmp_path, harm):
    store.put(NAME, PLAIN, wrapped_key=key)
    harm(on_disk(tmp_path)[0])
    with pytest.raises(CryptoError):
        store.read(NAME, wrapped_key=key)


def test_one_file_cannot_stand_in_for_another(store, key, tmp_path):
    store.put("releases/1/decision.json", b"PASS", wrapped_key=key)
    store.put("releases/2/decision.json", b"FAIL", wrapped_key=key)
    first, second = (tmp_path / "files/releases/1/decision.json", tmp_path / "files/releases/2/decision.json")
    second.write_bytes(first.read_bytes())
    with pytest.raises(CryptoError):
        store.read("releases/2/decision.json", wrapped_key=key)


def test_another_owners_key_does_not_open_it(store, key):
    store.put(NAME, PLAIN, wrapped_key=key)
    with pytest.raises(CryptoError):
        store.read(NAME, wrapped_key=data_key_create())


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../outside", "a/../../outside", "a\0b", "."])
def test_a_name_that_leaves_the_folder_is_refused(store, key, name):
    for attempt in (
        lambda: store.put(name, b"x", wrapped_key=key),
        lambda: store.read(name, wrapped_key=key),
        lambda: store.delete(name),
    ):
        with pytest.raises(ApplicationError):
            attempt()


def test_what_is_gone_is_not_found(store, key):
    store.put(NAME, PLAIN, wrapped_key=key)
    store.delete(NAME)
    store.delete(NAME)
    assert not store.exists(NAME)
    with pytest.raises(NotFoundError):
        store.read(NAME, wrapped_key=key)
