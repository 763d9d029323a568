"""The file key provider: modes, wrong passphrases, changed files, and two processes at once."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from dilithium_py.ml_dsa import ML_DSA_65

from veilmark.crypto.base import Algorithm, CryptoError, KeyProvider
from veilmark.crypto.file_keys import FileKeyProvider
from veilmark.crypto.signatures import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SeedSigner, is_signed

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared") / "keys"


@pytest.fixture(scope="module")
def shared(shared_folder: Path) -> FileKeyProvider:
    """One provider for the tests that change no file: opening one is slow on purpose."""
    return FileKeyProvider(shared_folder, PASSPHRASE)


@pytest.fixture
def folder(tmp_path: Path, shared_folder: Path, shared: FileKeyProvider) -> Path:
    """A test's own copy of a folder with a master key."""
    return shutil.copytree(shared_folder, tmp_path / "keys")


@pytest.fixture
def provider(folder: Path) -> FileKeyProvider:
    return FileKeyProvider(folder, PASSPHRASE)


def test_keys_survive_a_restart(folder: Path, provider: FileKeyProvider) -> None:
    wrapped = provider.create_data_key()
    signer = provider.signing_key("release")
    again: KeyProvider = FileKeyProvider(folder, PASSPHRASE)
    assert again.unwrap(wrapped) == provider.unwrap(wrapped)
    assert again.encryption_key_id == provider.encryption_key_id
    assert again.signing_key("release").key_id == signer.key_id


def test_data_keys_are_fresh_and_hidden(shared: FileKeyProvider) -> None:
    first, second = shared.create_data_key(), shared.create_data_key()
    assert len(shared.unwrap(first)) == 32
    assert shared.unwrap(first) != shared.unwrap(second)
    assert shared.unwrap(first) not in first


def test_signatures_verify_and_names_have_their_own_keys(shared: FileKeyProvider) -> None:
    signer = shared.signing_key("release")
    public = Ed25519PublicKey.from_public_bytes(signer.public_key_bytes)
    public.verify(signer.sign(b"manifest"), b"manifest")
    with pytest.raises(InvalidSignature):
        public.verify(signer.sign(b"manifest"), b"manifest.")
    assert shared.signing_key("ledger").key_id != signer.key_id
    assert signer.key_id.startswith("sha256:")


def test_a_name_has_a_key_of_each_algorithm(folder: Path, provider: FileKeyProvider) -> None:
    """From seeds of their own: one that leaks says nothing about the other."""
    signers = [provider.signing_key("release", algorithm) for algorithm in Algorithm]
    for signer in signers:
        again = FileKeyProvider(folder, PASSPHRASE).signing_key("release", signer.algorithm)
        signature = again.sign(b"manifest")
        assert len(signature) == SIGNATURE_BYTES[signer.algorithm]
        assert len(signer.public_key_bytes) == PUBLIC_KEY_BYTES[signer.algorithm]
        public = {"public_key": signer.public_key_bytes, "algorithm": signer.algorithm}
        assert is_signed(b"manifest", signature, **public)
        assert not is_signed(b"manifest.", signature, **public)
        assert not is_signed(b"manifest", signature, public_key=b"short", algorithm=signer.algorithm)
    (folder / "signing-release.key").replace(folder / "signing-release.ml-dsa-65.key")
    with pytest.raises(CryptoError, match=r"signing-release\.ml-dsa-65"):
        provider.signing_key("release", Algorithm.ML_DSA_65)


def test_a_second_implementation_makes_the_same_ml_dsa_key() -> None:
    seed = bytes(range(32))
    signer = SeedSigner(seed, Algorithm.ML_DSA_65)
    public, private = ML_DSA_65.key_derive(seed)
    assert public == signer.public_key_bytes
    assert ML_DSA_65.verify(public, b"m", signer.sign(b"m"))
    theirs = ML_DSA_65.sign(private, b"m")
    assert is_signed(b"m", theirs, public_key=signer.public_key_bytes, algorithm=Algorithm.ML_DSA_65)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(CryptoError, match="seed"):
        SeedSigner(bytes(length), Algorithm.ED25519)


def test_a_secret_is_made_once_and_kept_encrypted(folder: Path, provider: FileKeyProvider) -> None:
    made = provider.secret("creator", lambda: b"a private key of another kind")
    again = FileKeyProvider(folder, PASSPHRASE).secret("creator", lambda: b"never made")
    assert made == again == b"a private key of another kind"
    assert made not in (folder / "secret-creator.key").read_bytes()
    with pytest.raises(CryptoError, match="name"):
        provider.secret("../creator", lambda: b"")


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "keys"
    FileKeyProvider(folder, PASSPHRASE).signing_key("release")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert {path.name for path in files} == {"master.key", "signing-release.key"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_wrong_passphrase_is_refused_and_changes_nothing(folder: Path) -> None:
    before = (folder / "master.key").read_bytes()
    with pytest.raises(CryptoError, match="passphrase"):
        FileKeyProvider(folder, PASSPHRASE + ".")
    assert (folder / "master.key").read_bytes() == before


def test_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CryptoError, match="empty"):
        FileKeyProvider(tmp_path / "keys", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o704], ids=oct)
def test_open_folder_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(CryptoError, match="chmod 700"):
        FileKeyProvider(folder, PASSPHRASE)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604], ids=oct)
def test_open_file_is_refused(folder: Path, mode: int) -> None:
    (folder / "master.key").chmod(mode)
    with pytest.raises(CryptoError, match="chmod 600"):
        FileKeyProvider(folder, PASSPHRASE)


@pytest.mark.parametrize("content", [b"", b"short", bytes(80)], ids=["empty", "short", "zeros"])
def test_damaged_files_are_refused(folder: Path, provider: FileKeyProvider, content: bytes) -> None:
    provider.signing_key("release")
    (folder / "signing-release.key").write_bytes(content)
    with pytest.raises(CryptoError, match="signing-release"):
        provider.signing_key("release")
    (folder / "master.key").write_bytes(content)
    with pytest.raises(CryptoError, match="master"):
        FileKeyProvider(folder, PASSPHRASE)


def test_a_signing_key_cannot_take_anothers_place(folder: Path, provider: FileKeyProvider) -> None:
    provider.signing_key("release")
    provider.signing_key("ledger")
    (folder / "signing-release.key").replace(folder / "signing-ledger.key")
    with pytest.raises(CryptoError, match="signing-ledger"):
        provider.signing_key("ledger")


def test_any_changed_byte_of_a_wrapped_key_is_found(shared: FileKeyProvider) -> None:
    wrapped = shared.create_data_key()
    for index in range(len(wrapped)):
        changed = wrapped[:index] + bytes([wrapped[index] ^ 1]) + wrapped[index + 1 :]
        with pytest.raises(CryptoError, match="wrapped data key"):
            shared.unwrap(changed)
    for length in (0, 3, 16, len(wrapped) - 1):
        with pytest.raises(CryptoError):
            shared.unwrap(wrapped[:length])


def test_another_master_key_unwraps_nothing(tmp_path: Path, shared: FileKeyProvider) -> None:
    other = FileKeyProvider(tmp_path / "other", PASSPHRASE)
    with pytest.raises(CryptoError):
        other.unwrap(shared.create_data_key())


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a b", "-a", "a-", "x" * 65, "a\n"], ids=repr)
def test_names_that_are_no_names(shared_folder: Path, shared: FileKeyProvider, name: str) -> None:
    before = sorted(shared_folder.iterdir())
    with pytest.raises(CryptoError, match="name"):
        shared.signing_key(name)
    assert before == sorted(shared_folder.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CryptoError, match="cannot be made"):
        FileKeyProvider(tmp_path / "file" / "keys", PASSPHRASE)


START = """
import sys
from pathlib import Path
from veilmark.crypto.file_keys import FileKeyProvider
print("ready", flush=True)
sys.stdin.readline()
provider = FileKeyProvider(Path(sys.argv[1]), sys.argv[2])
print(provider.encryption_key_id, provider.signing_key("release").key_id)
"""


def test_processes_that_start_at_once_share_one_master_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START, str(tmp_path / "keys"), PASSPHRASE]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert len(answers) == 1
    assert answers.pop().startswith("sha256:")
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {"master.key", "signing-release.key"}
