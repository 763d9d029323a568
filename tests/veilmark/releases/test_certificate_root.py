"""What receivers pin holds the root of the certificates inside released files, in sites of before it did too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from veilmark.provenance.trust import TrustRoot
from veilmark.releases.seals import certificate_root, site_sealers
from veilmark.releases.selectors import certificate_root_path, trust_root_path
from veilmark.releases.trust_roots import trust_root_current

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture(autouse=True)
def var_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.VEILMARK_VAR = tmp_path / "var"


def test_the_trust_root_pins_what_the_sealers_sign_under() -> None:
    pinned = trust_root_current().certificate_roots
    dicom, *_ = site_sealers(generator="phantoms", signed_at=datetime.now(UTC))
    dicom.credential.certificate.verify_directly_issued_by(dicom.credential.root)
    assert pinned == (certificate_root(),)
    assert certificate_root_path().read_bytes() == dicom.credential.root_pem


def test_an_older_trust_root_is_completed_and_keeps_what_it_said() -> None:
    older = replace(trust_root_current(), certificate_roots=())
    older.write(trust_root_path())
    assert trust_root_current() == replace(older, certificate_roots=(certificate_root(),))
    assert TrustRoot.read(trust_root_path()).certificate_roots == (certificate_root(),)
