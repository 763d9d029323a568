"""A small published bundle of textured images, the key that signed it, and certificates for seals inside files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from veilmark.crypto.base import Algorithm
from veilmark.crypto.certificates import Credential, Purpose, site_credential
from veilmark.crypto.file_keys import FileKeyProvider
from veilmark.crypto.signatures import SeedSigner
from veilmark.provenance.bundle import Bundle, write_bundle
from veilmark.provenance.digests import ImageMetadata
from veilmark.provenance.documents import Evidence, ReleaseInfo
from veilmark.provenance.identity import SigningIdentity
from veilmark.provenance.log.writer import TransparencyLog
from veilmark.provenance.prepared import PreparedImages, prepare_images
from veilmark.provenance.trust import TrustRoot

CREATED_AT = "2026-11-21T09:30:00Z"


def identity(seed: int) -> SigningIdentity:
    """Two keys as `crypto/` hands out, without a file."""
    ed25519, ml_dsa_65 = (SeedSigner(seed.to_bytes(32, "big"), algorithm) for algorithm in Algorithm)
    return SigningIdentity(ed25519=ed25519, ml_dsa_65=ml_dsa_65)


@dataclass(frozen=True, kw_only=True)
class Published:
    bundle: Bundle
    trust_root: TrustRoot
    signer: SigningIdentity
    log: TransparencyLog
    prepared: PreparedImages
    originals: NDArray[np.uint8]


def textured(n: int, size: int, *, seed: int = 0, maximum: int = 255) -> NDArray[np.uint16]:
    """Smooth random images [n, size, size] that use 0..maximum, with a dark border as X-rays have it."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    falloff = 1 / (0.01 + fy**2 + fx**2)
    spectrum = np.fft.rfft2(rng.normal(size=(n, size, size))) * falloff
    field = np.fft.irfft2(spectrum, s=(size, size))
    low, high = np.percentile(field, (2, 98), axis=(1, 2), keepdims=True)
    images = np.clip((field - low) / (high - low), 0, 1) * maximum
    images[:, : size // 16] = 0
    return np.rint(images).astype(np.uint16)


def rows(n: int, release_id: str = "demo-1") -> list[ImageMetadata]:
    return [
        ImageMetadata(release_id=release_id, image_id=f"img-{i:03d}", label=("nodule", "none")[i % 2], sex="F")
        for i in range(n)
    ]


def release(release_id: str = "demo-1") -> ReleaseInfo:
    return ReleaseInfo(
        release_id=release_id,
        created_at=CREATED_AT,
        title="Synthetic textures",
        description="Random fields.",
        licence="https://creativecommons.org/licenses/by/4.0/",
        creator="Test hospital",
    )


def log_in(folder: Path, signer: SigningIdentity) -> TransparencyLog:
    return TransparencyLog(folder=folder / "log", signer=signer.ed25519, origin="hospital.example/log")


def publish(folder: Path, *, signer: SigningIdentity, release_id: str = "demo-1", seed: int = 0) -> Published:
    images = textured(5, 64, seed=seed).astype(np.uint8)
    prepared = prepare_images(
        folder / "prepared", images=images, metadata=rows(5, release_id), mark_release=7, created_at=CREATED_AT
    )
    bundle = write_bundle(
        folder / "bundle",
        prepared=prepared,
        endorsed_root=prepared.merkle_root,
        release=release(release_id),
        signer=signer,
        log=log_in(folder, signer),
        evidence=Evidence(
            decision={"outcome": "PASS"},
            report={"schema": "veilmark/report/1", "measurements": []},
            report_html="<!doctype html><title>report</title>",
        ),
    )
    root = TrustRoot.of(signer, created_at=CREATED_AT)
    log = log_in(folder, signer)
    return Published(bundle=bundle, trust_root=root, signer=signer, log=log, prepared=prepared, originals=images)


@pytest.fixture(scope="session")
def make_textured() -> Callable[..., NDArray[np.uint16]]:
    return textured


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., list[ImageMetadata]]:
    return rows


@pytest.fixture(scope="session")
def make_release() -> Callable[..., ReleaseInfo]:
    return release


@pytest.fixture(scope="session")
def make_signer() -> Callable[[int], SigningIdentity]:
    return identity


@pytest.fixture(scope="session")
def make_log() -> Callable[[Path, SigningIdentity], TransparencyLog]:
    return log_in


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(tmp_path_factory.mktemp("published"), signer=identity(1))


@pytest.fixture(scope="session")
def other_release(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Another release by the same signer."""
    return publish(tmp_path_factory.mktemp("other"), signer=identity(1), release_id="demo-2", seed=5)


@pytest.fixture
def copy(published: Published, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may damage."""
    return Path(shutil.copytree(published.bundle.folder, tmp_path / "copy"))


@pytest.fixture(scope="session")
def make_credential(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Credential]:
    """A certificate of the test's site with its key; `stranger`: of another site that bears the same name."""
    folders = [tmp_path_factory.mktemp(name) for name in ("site", "stranger")]
    providers = [FileKeyProvider(folder / "keys", "a passphrase") for folder in folders]

    def make(purpose: Purpose, *, stranger: bool = False, now: datetime | None = None) -> Credential:
        return site_credential(providers[stranger], purpose, organisation="Test hospital", now=now)

    return make


@pytest.fixture
def dcmsign(
    require_program: Callable[[str, str], Path], make_credential: Callable[..., Credential], tmp_path: Path
) -> Callable[[bytes], tuple[int, str]]:
    """Exit code and words of `dcmsign --verify`, which must find a Creator RSA signature under the site's root."""
    program = require_program("dcmsign", "dcmtk")

    def verify(data: bytes) -> tuple[int, str]:
        (tmp_path / "root.pem").write_bytes(make_credential(Purpose.DICOM).root_pem)
        (tmp_path / "signed.dcm").write_bytes(data)
        command = [program, "--verify", "+rc", "+cf", tmp_path / "root.pem", tmp_path / "signed.dcm"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        return run.returncode, run.stdout + run.stderr

    return verify


@pytest.fixture(scope="session")
def chest_images(shared_data: Path) -> NDArray[np.uint8]:
    """Real chest X-rays [1000, 128, 128], where the shared data exists."""
    path = shared_data / "cxr_nih_1000" / "images.npz"
    with np.load(path) as arrays:
        images: NDArray[np.uint8] = arrays["images"]
    return images
