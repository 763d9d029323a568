"""The command line of the contract: files in, report out, one line of complaint, exit code 2 for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from audits.base import AuditInput
from generators.data import ImageSet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, leak_free: AuditInput) -> Path:
    """The arms as files."""
    place = tmp_path_factory.mktemp("arms")
    for name in ("train", "holdout", "control", "synthetic"):
        arm: ImageSet = getattr(leak_free, name)
        arm.save(place / f"{name}.npz")
    return place


def _audits(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "audits", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def _run(folder: Path, *extra: str, **files: str) -> subprocess.CompletedProcess[str]:
    arms = {name: str(folder / f"{name}.npz") for name in ("train", "holdout", "synthetic", "control")} | files
    arguments = [part for name, path in arms.items() for part in (f"--{name}", path)]
    return _audits("run", *arguments, *extra)


def test_run_writes_the_report_and_the_page(folder: Path, tmp_path: Path) -> None:
    out, html = tmp_path / "report.json", tmp_path / "report.html"
    done = _run(
        folder, "--only", "nearest_copies", "--only", "label_shares",
        "--out", str(out), "--html", str(html), "--audience", "publishable", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert body == json.loads(out.read_text())
    assert body["audience"] == "publishable"
    assert {m["name"].partition(".")[0] for m in body["measurements"]} == {"arms", "nearest_copies", "label_shares"}
    assert html.read_text().startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_run_prints_a_table_for_people(folder: Path, tmp_path: Path) -> None:
    done = _run(folder, "--only", "label_shares", "--out", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stderr
    assert "label_shares.sex" in done.stdout
    assert "not_detected" in done.stdout


def test_list_names_every_audit_with_its_question() -> None:
    done = _audits("list", "--json")
    names = {entry["name"] for entry in json.loads(done.stdout)["audits"]}
    assert {"nearest_copies", "membership_inference", "manifold", "kernel_distance"} <= names
    assert {"train_on_synthetic", "group_gaps", "label_shares"} <= names
    assert _audits("list").stdout.count("?") == len(names)


BAD = {
    "no such file": ({"train": "nowhere.npz"}, (), "nowhere.npz: no such file"),
    "not an archive": ({"train": __file__}, (), "not a readable .npz"),
    "the same arm twice": ({"holdout": "{train}"}, (), "subjects are also in train"),
    "an unknown audit": ({}, ("--only", "horoscope"), "no such audit: horoscope"),
    "a generator folder without a card": ({}, ("--generator", "/"), "has no generator.json"),
    "an unwritable page": ({}, ("--html", "/nowhere/page.html"), "/nowhere/page.html: cannot be written"),
}


@pytest.mark.parametrize(("files", "extra", "said"), BAD.values(), ids=BAD)
def test_bad_input_gives_one_line_and_writes_nothing(
    folder: Path, tmp_path: Path, files: dict[str, str], extra: tuple[str, ...], said: str
) -> None:
    named = {name: path.format(train=folder / "train.npz") for name, path in files.items()}
    done = _run(folder, *extra, "--out", str(tmp_path / "report.json"), **named)
    complaint = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2
    assert len(complaint) == 1
    assert said in complaint[0]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_weights_refuses_a_folder_that_holds_no_generator_in_one_line(folder: Path) -> None:
    arms = ("--train", str(folder / "train.npz"), "--holdout", str(folder / "holdout.npz"))
    done = _audits("weights", "--generator", str(folder), *arms)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "generator.json" in done.stderr
