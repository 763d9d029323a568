"""The client's folder for its sign-in, never the one of whoever runs the tests."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    monkeypatch.setenv("VEILMARK_CONFIG", str(folder))
    return folder
