"""`manage.py cohort_upload` on an installation of its own: one cohort, or one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow


@pytest.fixture
def manage(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    environment = {**os.environ, "VEILMARK_VAR": str(tmp_path / "site"), "VEILMARK_DATABASE_URL": ""}

    def run(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=120, **options
        )

    return run


def test_an_upload_and_its_refusals(manage, arrays, tmp_path):
    assert manage("migrate", "--verbosity", "0").returncode == 0
    assert manage("create_person", "ada", "custodian", "--password-stdin", input="a long enough one\n").returncode == 0
    upload = ("cohort_upload", str(arrays), "--custodian", "ada")

    done = manage(*upload, "--public-n", "100", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["subjects"], told["images"], told["name"]) == (40, 50, "arrays")

    refusals = {
        "error: cohort name 'arrays': is taken; choose another": (*upload, "--public-n", "100"),
        "error: public number of subjects: is not declared; give --public-n 1000": upload,
        "error: eve: no such person; manage.py create_person": (*upload[:-1], "eve"),
        "error: seed: is -1; choose 0 or a larger": (*upload, "--public-n", "100", "--split-seed", "-1"),
    }
    for line, command in refusals.items():
        refused = manage(*command)
        assert (refused.returncode, refused.stderr.count("\n"), refused.stdout) == (2, 1, ""), refused.stderr
        assert refused.stderr.startswith(line)

    (arrays / "images.npz").write_bytes(b"no arrays")
    refused = manage(*upload, "--public-n", "100", "--name", "another")
    assert refused.returncode == 2
    assert "error: images.npz: not a readable .npz; write it with numpy.savez" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list((tmp_path / "site" / "scratch").iterdir())
