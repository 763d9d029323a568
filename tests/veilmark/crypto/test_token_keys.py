"""Keys in a PKCS#11 token, with a real SoftHSM2: made there, found again, never taken out, and the PIN never told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from veilmark.crypto.base import Algorithm, CryptoError, KeyProvider
from veilmark.crypto.file_keys import FileKeyProvider
from veilmark.crypto.signatures import is_signed
from veilmark.crypto.token_keys import Token, TokenKeyProvider

PIN = "8642-secret"
PASSPHRASE = "correct horse battery staple"
LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")


@pytest.fixture(scope="session")
def module(require_program: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SoftHSM2's library, with the tokens "veilmark" and "spare"."""
    program = require_program("softhsm2-util", "softhsm2")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        for label in ("veilmark", "spare"):
            command = [program, "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN]
            subprocess.run(command, check=True, capture_output=True)
        yield next(path for path in LIBRARIES if Path(path).exists())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> FileKeyProvider:
    return FileKeyProvider(tmp_path_factory.mktemp("token") / "keys", PASSPHRASE)


@pytest.fixture(scope="module")
def provider(module: str, files: FileKeyProvider) -> Iterator[TokenKeyProvider]:
    opened = TokenKeyProvider(Token(module=module, label="veilmark", pin=PIN), files)
    yield opened
    opened.close()


def test_the_ed25519_key_is_the_tokens_and_the_rest_the_files(provider, files) -> None:
    first: KeyProvider = provider
    signer = first.signing_key("release")
    public = {"public_key": signer.public_key_bytes, "algorithm": Algorithm.ED25519}
    assert is_signed(b"manifest", signer.sign(b"manifest"), **public)
    assert not is_signed(b"manifest.", signer.sign(b"manifest"), **public)
    assert not files.has_signing_key("release")
    assert provider.has_signing_key("release")
    assert not any(provider.has_signing_key("never-made", algorithm) for algorithm in Algorithm)
    second = first.signing_key("release", Algorithm.ML_DSA_65)
    assert second.key_id == files.signing_key("release", Algorithm.ML_DSA_65).key_id
    assert first.unwrap(files.create_data_key())
    assert first.encryption_key_id == files.encryption_key_id
    assert first.secret("creator", lambda: b"x") == files.secret("creator", lambda: b"y") == b"x"


def test_another_process_finds_the_same_key(provider, module: str, files) -> None:
    """And makes one where there is none, which this process finds: of several at once, one makes it."""
    script = (
        "import sys; from pathlib import Path; from veilmark.crypto.file_keys import FileKeyProvider;"
        "from veilmark.crypto.token_keys import Token, TokenKeyProvider;"
        "token = Token(module=sys.argv[1], label='veilmark', pin=sys.argv[2]);"
        "keys = TokenKeyProvider(token, FileKeyProvider(Path(sys.argv[3]), sys.argv[4]));"
        "print(keys.signing_key('release').key_id, keys.signing_key('checkpoint').key_id)"
    )
    environment = os.environ | {"PYTHONPATH": "platform"}
    command = [sys.executable, "-c", script, module, PIN, str(files.folder), PASSPHRASE]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    answers = {process.communicate(timeout=60)[0].strip() for process in started}
    mine = f"{provider.signing_key('release').key_id} {provider.signing_key('checkpoint').key_id}"
    assert answers == {mine}


def test_pkcs11_tool_sees_a_key_that_cannot_leave(provider, module: str, require_program) -> None:
    tool = require_program("pkcs11-tool", "opensc")
    point = provider.signing_key("release").public_key_bytes.hex()
    command = [tool, "--module", module, "--token-label", "veilmark", "--login", "--pin", PIN, "--list-objects"]
    seen = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    private = next(part for part in seen.split("Private Key Object")[1:] if "veilmark-release" in part)
    assert "never extractable" in private.partition("Public Key Object")[0]
    assert point in seen


def test_threads_take_turns(provider) -> None:
    signer, made = provider.signing_key("release"), []

    def sign() -> None:
        made.extend([signer.sign(b"x") for _ in range(20)])

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 80
    assert set(made) == {signer.sign(b"x")}


def test_a_key_that_lies_in_a_file_is_not_made_anew(provider, files) -> None:
    files.signing_key("ledger")
    with pytest.raises(CryptoError, match="lies in a file, and token veilmark has none"):
        provider.signing_key("ledger")


def test_two_pairs_of_one_name_are_refused(provider, module: str, require_program) -> None:
    tool = require_program("pkcs11-tool", "opensc")
    command = [tool, "--module", module, "--token-label", "veilmark", "--login", "--pin", PIN, "--keypairgen"]
    for _ in range(2):
        subprocess.run([*command, "--key-type", "EC:edwards25519", "--label", "veilmark-twice"], check=True)
    with pytest.raises(CryptoError, match="more than once"):
        provider.signing_key("twice")


@pytest.mark.parametrize("name", ["", "..", "A", "release.ml-dsa-65"], ids=repr)
def test_names_that_are_no_names(provider, name: str) -> None:
    with pytest.raises(CryptoError, match="name of a key"):
        provider.signing_key(name)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"pin": "0000"}, "PinIncorrect", id="wrong PIN"),
        pytest.param({"label": "nowhere"}, "NoSuchToken", id="no such token"),
        pytest.param({"module": "/nowhere.so"}, "does not work", id="no such library"),
    ],
)
def test_a_token_that_cannot_be_opened_says_why_and_never_the_pin(provider, module: str, files, changes, told) -> None:
    token = Token(**{"module": module, "label": "spare", "pin": PIN} | changes)
    with pytest.raises(CryptoError, match=told) as raised:
        TokenKeyProvider(token, files)
    assert token.pin not in f"{raised.value!r} {token!r}"
    assert raised.value.__suppress_context__
