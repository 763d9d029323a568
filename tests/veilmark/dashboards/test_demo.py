"""`make demo`, as a newcomer runs it: on an installation of its own, to a verified bundle or to a refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from veilmark.provenance.trust import TrustRoot
from veilmark.provenance.verify import verify_path

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow


@pytest.fixture
def manage(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    settings = {"VEILMARK_VAR": str(tmp_path), "VEILMARK_DATABASE_URL": "", "COLUMNS": "200"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(
            command, env=os.environ | settings, capture_output=True, text=True, check=False, timeout=300
        )

    return run


def test_the_whole_path_ends_in_a_verified_bundle(manage, phantom_folder, tmp_path):
    done = manage("demo", "--cohort", str(phantom_folder), "--images", "120")
    if done.returncode == 1:  # the audits accuse one innocent set in a hundred, by their stated level: not twice
        done = manage("demo", "--cohort", str(phantom_folder), "--images", "120")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for word in ("epsilon 7.9", "membership", "licence-derivatives", "flagged pairs", "PASS", "authentic", "whole"):
        assert word in done.stdout, word
    (bundle,) = (path for path in (tmp_path / "releases").iterdir() if path.is_dir())
    assert json.loads((bundle / "decision.json").read_text())["outcome"] == "PASS"
    (download,) = (tmp_path / "downloads").glob("*.zip")
    root = tmp_path / "trust-root.json"
    copy = verify_path(download, trust_root=TrustRoot.read(root))
    assert (copy.exit_code, copy.release_id) == (0, verify_path(bundle, trust_root=TrustRoot.read(root)).release_id)
    assert copy.grant_id, "the researcher's own copy"
    assert (tmp_path / f"{bundle.name}.png").stat().st_size > 10_000, "the contact sheet"
    people = tmp_path / "demo-people.json"
    assert oct(people.stat().st_mode & 0o777) == "0o600"
    assert manage("ledger_verify").returncode == 0
    assert not list((tmp_path / "scratch").iterdir())

    first, *_ = sorted((bundle / "images").glob("*.png"))
    first.write_bytes(first.read_bytes() + b"?")
    command = [sys.executable, "-m", "veilmark.client", "verify", str(bundle)]
    altered = subprocess.run(
        [*command, "--trust-root", str(tmp_path / "trust-root.json")], capture_output=True, text=True, check=False
    )
    assert altered.returncode == 10
    assert first.name in altered.stdout + altered.stderr


def test_a_stricter_profile_makes_no_bundle(manage, phantom_folder, tmp_path):
    refused = manage("demo", "--cohort", str(phantom_folder), "--images", "24", "--profile", "public")
    assert refused.returncode == 1, refused.stdout[-2000:] + refused.stderr[-2000:]
    assert "No bundle was made: " in refused.stdout
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "releases").exists()
    assert not (tmp_path / "downloads").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(("--cohort", "/nowhere"), "error: /nowhere: has no mapping; give one with --mapping", id="cohort"),
        pytest.param(
            ("--profile", "lenient"),
            "error: profile 'lenient': is no profile; one of",
            id="profile",
        ),
    ],
)
def test_a_bad_wish_is_one_line(manage, arguments, line):
    refused = manage("demo", *arguments)
    assert refused.returncode == 2
    assert refused.stderr.startswith(line)
    assert refused.stderr.count("\n") == 1
