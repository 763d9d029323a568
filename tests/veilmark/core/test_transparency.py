"""The site's log: appended to by any stage, its checkpoint open to whoever keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from veilmark.core.keys import site_identity
from veilmark.core.transparency import log_append, log_folder
from veilmark.provenance.log.checkpoint import verify_checkpoint
from veilmark.provenance.log.entries import statement_entry


@pytest.fixture(autouse=True)
def own_var(settings, tmp_path: Path) -> None:
    settings.VEILMARK_VAR = tmp_path


def test_the_checkpoint_is_served_without_sign_in(client) -> None:
    assert client.get("/log/checkpoint").status_code == 404
    logged = log_append([statement_entry(release_id="demo-1", digest="sha256:" + "ab" * 32)])
    answer = client.get("/log/checkpoint")
    assert (answer.status_code, answer.content) == (200, logged.checkpoint)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    trusted = [site_identity().public(created_at="2026-11-21T09:30:00Z")]
    checkpoint = verify_checkpoint(answer.content, trusted, where="checkpoint")
    assert checkpoint.size == 1
    assert checkpoint.origin.startswith("veilmark.invalid/log/")
    assert client.post("/log/checkpoint").status_code == 405
    assert (log_folder() / "tile" / "entries" / "000.p" / "1").exists()
