"""Logs small enough to rebuild thousands of times, in folders and in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from veilmark.provenance.identity import Identity, SigningIdentity
from veilmark.provenance.log.writer import TransparencyLog

ORIGIN = "hospital.example/log"
AT = "2026-11-21T09:30:00Z"


@pytest.fixture(scope="session")
def signer(make_signer: Callable[[int], SigningIdentity]) -> SigningIdentity:
    return make_signer(1)


@pytest.fixture(scope="session")
def trusted(signer: SigningIdentity) -> list[Identity]:
    return [signer.public(created_at=AT)]


@pytest.fixture
def log(signer: SigningIdentity, tmp_path: Path) -> TransparencyLog:
    return TransparencyLog(folder=tmp_path / "log", signer=signer.ed25519, origin=ORIGIN)
