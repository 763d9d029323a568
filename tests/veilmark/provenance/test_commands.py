"""`python -m veilmark.provenance`, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "veilmark.provenance", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def picture(make_textured, tmp_path: Path) -> Path:
    Image.fromarray(make_textured(1, 128)[0].astype(np.uint8)).save(tmp_path / "in.png")
    return tmp_path / "in.png"


@pytest.mark.parametrize(("mark", "n_messages"), [("1000070000000abc", 8), ("200000000070000000000000000000ab", 4)])
def test_mark_then_detect(picture: Path, tmp_path: Path, mark: str, n_messages: int) -> None:
    marked = run("mark", picture, tmp_path / "out.png", "--id", mark)
    assert (marked.returncode, marked.stderr) == (0, "")
    found = run("detect", tmp_path / "out.png", "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout) == {
        "detected": True,
        "id": mark,
        "stage": "direct",
        "false_positive_rate": n_messages * 2.0**-32,
    }


def test_a_secret_key_hides_the_mark(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"sixteen bytes or more of key")
    run("mark", picture, tmp_path / "out.png", "--id", "1" * 16, "--key", tmp_path / "key")
    assert json.loads(run("detect", tmp_path / "out.png", "--json").stdout)["detected"] is False
    with_key = run("detect", tmp_path / "out.png", "--key", tmp_path / "key", "--json")
    assert json.loads(with_key.stdout)["id"] == "1" * 16


def test_a_manifest_helps_and_nothing_found_is_14(published, picture: Path) -> None:
    found = run("detect", picture, "--manifest", published.bundle.folder / "manifest.json")
    assert (found.returncode, found.stdout.split(" (")[0]) == (14, "no mark found")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["mark", "IN", "out.png", "--id", "xyz"], "is not 16 or 32 hexadecimal digits", id="id"),
        pytest.param(["mark", "IN", "out.png", "--id", "2" * 31], "is not 16 or 32 hexadecimal", id="31 digits"),
        pytest.param(["mark", "IN", "out.png", "--id", "1" * 32], "32 digits begins with 2", id="another version"),
        pytest.param(["mark", "SMALL", "out.png", "--id", "2" * 32], "give a 64-bit id", id="long for 96 px"),
        pytest.param(["mark", "IN", "out.png"], "Missing option '--id'", id="no id"),
        pytest.param(["mark", "IN", "out.jpg", "--id", "1" * 16], "no name of a PNG", id="lossy output"),
        pytest.param(["mark", "IN", "/nowhere/out.png", "--id", "1" * 16], "cannot be written", id="no folder"),
        pytest.param(["mark", "TINY", "out.png", "--id", "1" * 16], "at least 64 px", id="tiny"),
        pytest.param(["detect", "missing.png"], "cannot be read", id="missing"),
        pytest.param(["detect", "TEXT"], "is no image of a known kind", id="no image"),
        pytest.param(["detect", "IN", "--key", "TEXT"], "shorter than 16 bytes", id="short key"),
        pytest.param(["detect", "IN", "--manifest", "TEXT"], "not valid JSON", id="no manifest"),
        pytest.param(["bogus"], "No such command", id="no command"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_2(picture: Path, tmp_path: Path, arguments, message: str) -> None:
    Image.fromarray(np.arange(32 * 32, dtype=np.uint16).reshape(32, 32).astype(np.uint8)).save(tmp_path / "tiny.png")
    (tmp_path / "text").write_text("text")
    Image.open(picture).crop((0, 0, 96, 128)).save(tmp_path / "small.png")
    small = {"TINY": tmp_path / "tiny.png", "SMALL": tmp_path / "small.png"}
    paths = {"IN": picture, **small, "TEXT": tmp_path / "text", "out.png": tmp_path / "o.png"}
    result = run(*(paths.get(argument, argument) for argument in arguments))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not (tmp_path / "o.png").exists()
