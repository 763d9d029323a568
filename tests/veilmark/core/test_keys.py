"""The environment says where keys lie; what it leaves out is refused, and the PIN is told to nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PIN = "8642-secret"
LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
SHOW = """
from django.conf import settings
from veilmark.core.keys import key_provider, signing_identity
identity = signing_identity("release")
print(type(identity.ed25519).__name__, type(identity.ml_dsa_65).__name__, identity.id)
assert not [name for name in dir(settings) if "8642" in str(getattr(settings, name))]
"""


def show(var: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VEILMARK_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    environment = {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "veilmark.settings.embedded", "VEILMARK_VAR": str(var)}
    command = [sys.executable, "-c", SHOW]
    return subprocess.run(
        command, env={**clean, **environment, **variables}, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def token(require_program: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a site with a SoftHSM2 token."""
    program = require_program("softhsm2-util", "softhsm2")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    command = [program, "--init-token", "--free", "--label", "site", "--so-pin", "12345678", "--pin", PIN]
    configuration = {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
    subprocess.run(command, check=True, capture_output=True, env=os.environ | configuration)
    module = next(path for path in LIBRARIES if Path(path).exists())
    site = {"VEILMARK_KEYS": "pkcs11", "VEILMARK_PKCS11_MODULE": module, "VEILMARK_PKCS11_TOKEN": "site"}
    return configuration | site


def test_keys_lie_in_files_unless_said_otherwise(tmp_path: Path) -> None:
    shown = [show(tmp_path).stdout for _ in range(2)]
    assert shown[0].startswith("SeedSigner SeedSigner sha256:")
    assert shown[0] == shown[1]


def test_the_token_holds_the_ed25519_key(token: dict[str, str], tmp_path: Path) -> None:
    """Its PIN from the environment, or from a file that nobody else may read."""
    (tmp_path / "pin").write_text(f"{PIN}\n")
    (tmp_path / "pin").chmod(0o600)
    shown = show(tmp_path, **token, VEILMARK_PKCS11_PIN=PIN)
    assert shown.stdout.startswith("TokenSigner SeedSigner sha256:"), shown.stderr
    assert shown.stdout == show(tmp_path, **token, VEILMARK_PKCS11_PIN_FILE=str(tmp_path / "pin")).stdout
    assert {path.name for path in (tmp_path / "keys").glob("signing-*")} == {"signing-release.ml-dsa-65.key"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"VEILMARK_KEYS": "hsm"}, "VEILMARK_KEYS: is 'hsm'; set one of file, pkcs11", id="no such kind"),
        pytest.param({"VEILMARK_PKCS11_MODULE": ""}, "VEILMARK_PKCS11_MODULE: is not set", id="no library"),
        pytest.param({"VEILMARK_PKCS11_TOKEN": ""}, "VEILMARK_PKCS11_TOKEN: is not set", id="no label"),
        pytest.param({"VEILMARK_PKCS11_PIN": ""}, "VEILMARK_PKCS11_PIN_FILE: is not set", id="no PIN"),
        pytest.param({"VEILMARK_PKCS11_PIN": f"{PIN}0"}, "PinIncorrect", id="wrong PIN"),
        pytest.param({"VEILMARK_PKCS11_PIN": "", "VEILMARK_PKCS11_PIN_FILE": "OPEN"}, "chmod 600", id="open PIN file"),
    ],
)
def test_a_token_that_is_not_wholly_named_is_refused(token, tmp_path: Path, changes, told: str) -> None:
    (tmp_path / "pin").write_text(PIN)
    (tmp_path / "pin").chmod(0o644)
    changes = {name: str(tmp_path / "pin") if value == "OPEN" else value for name, value in changes.items()}
    shown = show(tmp_path, **token | {"VEILMARK_PKCS11_PIN": PIN} | changes)
    assert shown.returncode != 0
    assert told in shown.stderr
    assert PIN not in shown.stderr
