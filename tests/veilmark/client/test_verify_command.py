"""`veilmark verify`, as a researcher runs it: with the base install alone and no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from veilmark.crypto.base import Algorithm
from veilmark.crypto.certificates import Purpose, site_credential
from veilmark.crypto.file_keys import FileKeyProvider
from veilmark.crypto.signatures import SeedSigner
from veilmark.provenance.bundle import write_bundle, write_recall
from veilmark.provenance.dicom_files import DicomWriter
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.documents import Evidence, ReleaseInfo
from veilmark.provenance.embedded.c2pa_manifests import C2paSealer
from veilmark.provenance.embedded.dicom_signature import DicomSealer
from veilmark.provenance.files import png_bytes
from veilmark.provenance.identity import SigningIdentity
from veilmark.provenance.log.writer import TransparencyLog
from veilmark.provenance.prepared import prepare_images
from veilmark.provenance.source import zip_bundle
from veilmark.provenance.trust import TrustRoot

AT = "2026-11-21T09:30:00Z"

# Whatever is not in the base install fails to import, and so does whatever opens a socket.
GUARD = """
import sys
FORBIDDEN = {"django", "rest_framework", "torch", "scipy", "sklearn", "pandas", "matplotlib", "opacus", "dbos", "c2pa"}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is not in the base install")
sys.meta_path.insert(0, Blocker())
def no_network(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo"}:
        raise RuntimeError("network")
sys.addaudithook(no_network)
from veilmark.client.cli import main
sys.argv[0] = "veilmark"
main()
"""


SIGNER = SigningIdentity(
    ed25519=SeedSigner(bytes(31) + b"\x05", Algorithm.ED25519), ml_dsa_65=SeedSigner(bytes(32), Algorithm.ML_DSA_65)
)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", GUARD, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle and its trust root."""
    folder = tmp_path_factory.mktemp("site")
    y, x = np.mgrid[:96, :96]
    waves = [np.sin(x / (4 + i)) * np.cos(y / (5 + i)) for i in range(3)]
    images = np.stack([np.rint(127 + 120 * wave) for wave in waves]).astype(np.uint8)
    rows = [ImageMetadata(release_id="demo", image_id=f"img-{i}", label="[red]wave") for i in range(3)]
    prepared = prepare_images(folder / "prepared", images=images, metadata=rows, mark_release=3, created_at=AT)
    release = ReleaseInfo(
        release_id="demo", created_at=AT, title="Waves", description="Waves.", licence="CC0-1.0", creator="Tests"
    )
    write_bundle(
        folder / "bundle",
        prepared=prepared,
        endorsed_root=prepared.merkle_root,
        release=release,
        signer=SIGNER,
        log=TransparencyLog(folder=folder / "log", signer=SIGNER.ed25519, origin="tests/log"),
        evidence=Evidence(decision={"outcome": "PASS"}, report={}, report_html=""),
    )
    TrustRoot.of(SIGNER, created_at=AT).write(folder / "trust-root.json")
    zip_bundle(folder / "bundle", folder / "bundle.zip")
    return folder


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_an_authentic_bundle(site: Path, name: str) -> None:
    result = run("verify", site / name, "--trust-root", site / "trust-root.json")
    assert (result.returncode, result.stderr) == (0, "")
    assert "authentic (release demo, 3 images)" in result.stdout


def test_json_is_one_object(site: Path) -> None:
    result = run("verify", site / "bundle", "--trust-root", site / "trust-root.json", "--json")
    answer = json.loads(result.stdout)
    assert (answer["verdict"], answer["exit_code"], answer["n_images"]) == ("authentic", 0, 3)


def test_the_failing_file_is_named(site: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(site / "bundle", tmp_path / "copy"))
    (copy / "images" / "img-1.png").write_bytes((copy / "images" / "img-2.png").read_bytes())
    result = run("verify", copy, "--trust-root", site / "trust-root.json")
    assert result.returncode == 10
    assert "altered but ours" in result.stdout
    assert "images/img-1.png" in result.stdout


def test_one_image_and_its_bundle(site: Path) -> None:
    root = ("--trust-root", site / "trust-root.json")
    image = site / "bundle" / "images" / "img-1.png"
    assert run("verify", image, "--bundle", site / "bundle.zip", *root).returncode == 0
    assert run("verify", image, *root).returncode == 11
    assert run("verify", image, "--bundle", site / "bundle").returncode == 15


@pytest.fixture(scope="module")
def sealed(site: Path) -> Path:
    """A DICOM file and a PNG, sealed by the site whose certificate `sealed-root.json` pins."""
    keys = FileKeyProvider(site / "keys", "a passphrase")
    dicom, png = (site_credential(keys, purpose, organisation="Test hospital") for purpose in Purpose)
    pixels = np.arange(4096, dtype=np.uint8).reshape(64, 64)
    row = ImageMetadata(release_id="demo", image_id="img-0")
    DicomWriter(generator="waves", version="1")(site / "plain.dcm", pixels, row, mark_id="", index=0)
    data = (site / "plain.dcm").read_bytes()
    (site / "a.dcm").write_bytes(DicomSealer(credential=dicom, signed_at=datetime.now(UTC)).seal(data, where="a.dcm"))
    manifest = C2paSealer(credential=png, generator="waves", version="1")
    (site / "a.png").write_bytes(manifest.seal(png_bytes(pixels, row, where="a.png"), where="img-0.png"))
    certificate = dicom.root.public_bytes(Encoding.DER)
    TrustRoot.of(SIGNER, created_at=AT, certificate_roots=[certificate]).write(site / "sealed-root.json")
    return site


def test_a_sealed_dicom_file_alone_needs_the_base_install_alone(sealed: Path) -> None:
    result = run("verify", sealed / "a.dcm", "--trust-root", sealed / "sealed-root.json")
    assert (result.returncode, result.stderr) == (15, "")
    assert "sealed (release demo, img-0)" in result.stdout
    assert "its DICOM signature is whole: Test hospital signed this very file" in result.stdout
    assert "not known: whether its release was approved, logged or recalled" in result.stdout
    answer = json.loads(run("verify", sealed / "a.dcm", "--trust-root", sealed / "sealed-root.json", "--json").stdout)
    assert (answer["verdict"], answer["exit_code"], answer["seal"]["state"]) == ("sealed", 15, "verified")


def test_an_altered_sealed_file_alone_is_named(sealed: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(sealed / "a.dcm")
    dataset.PatientSex = "M"
    dataset.save_as(tmp_path / "a.dcm")
    result = run("verify", tmp_path / "a.dcm", "--trust-root", sealed / "sealed-root.json")
    assert (result.returncode, result.stderr) == (10, "")
    assert "altered but ours" in result.stdout
    assert "PatientSex is not as it was sealed" in result.stdout


def test_a_png_whose_manifest_cannot_be_read_says_how_it_could(sealed: Path) -> None:
    result = run("verify", sealed / "a.png", "--trust-root", sealed / "sealed-root.json")
    assert (result.returncode, result.stderr) == (14, "")
    assert "its C2PA manifest was not read: that needs a library; pip install c2pa-python" in result.stdout


def test_a_recalled_release(site: Path, tmp_path: Path) -> None:
    root = ("--trust-root", site / "trust-root.json")
    copy = Path(shutil.copytree(site / "bundle", tmp_path / "copy"))
    write_recall(copy, signer=SIGNER, reason="a person was recognised", recalled_at=AT)
    assert run("verify", copy, *root).returncode == 13
    assert run("verify", site / "bundle", *root, "--revoked", "demo").returncode == 13


def test_a_copy_of_the_log_is_checked_by_anybody(site: Path, tmp_path: Path) -> None:
    root = ("--trust-root", site / "trust-root.json")
    result = run("log", "check", site / "log", *root, "--checkpoint", site / "bundle" / "log" / "checkpoint")
    assert (result.returncode, result.stderr) == (0, "")
    assert "whole" in result.stdout
    copy = Path(shutil.copytree(site / "log", tmp_path / "log"))
    (entries,) = (path for path in (copy / "tile" / "entries").rglob("*") if path.is_file())
    entries.write_bytes(entries.read_bytes().replace(b"img-1", b"img-7"))
    result = run("log", "check", copy, *root, "--json")
    assert result.returncode == 10
    problems = json.loads(result.stdout)["problems"]
    assert entries.relative_to(copy).as_posix() in {problem["where"] for problem in problems}


@pytest.mark.parametrize(("folder", "message"), [("bundle", "checkpoint"), ("stranger", "not signed by a trusted key")])
def test_a_log_that_nobody_vouches_for_is_refused(site: Path, tmp_path: Path, folder: str, message: str) -> None:
    stranger = SeedSigner(bytes(31) + b"\x09", Algorithm.ED25519)
    TransparencyLog(folder=tmp_path / "stranger", signer=stranger, origin="tests/log").append([b"entry"])
    path = tmp_path / folder if folder == "stranger" else site / folder
    result = run("log", "check", path, "--trust-root", site / "trust-root.json")
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_a_root_it_is_undetermined(site: Path) -> None:
    result = run("verify", site / "bundle")
    assert result.returncode == 15
    assert "undetermined" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["verify"], "Missing argument", id="no path"),
        pytest.param(["verify", "/nowhere"], "does not exist", id="no such path"),
        pytest.param(["verify", "BUNDLE", "--trust-root", "/nowhere"], "cannot be read", id="no such root"),
        pytest.param(["verify", "BUNDLE", "--trust-root", "ROOT"], "is missing", id="a file that is no root"),
        pytest.param(["verify", "BUNDLE", "--bundle", "BUNDLE"], "is a bundle itself", id="two bundles"),
        pytest.param(["verify", "BUNDLE", "--bogus"], "No such option", id="option"),
        pytest.param(["verify", "EMPTY"], "manifest.json: is missing", id="folder without a bundle"),
        pytest.param([], "Missing command", id="nothing"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_2(site: Path, tmp_path: Path, arguments, message: str) -> None:
    paths = {"BUNDLE": site / "bundle", "ROOT": site / "bundle" / "decision.json", "EMPTY": tmp_path}
    result = run(*(paths.get(argument, argument) for argument in arguments))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
