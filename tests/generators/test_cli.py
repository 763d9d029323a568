import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from generators.cli import list_generators
from generators.registry import GENERATORS

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "generators", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    assert run("phantoms", "--subjects", 40, "--size", 32, "--seed", 1, "--out", folder).returncode == 0
    return folder


def train(cohort: Path, out: Path, *more: object, epsilon: float = 8) -> subprocess.CompletedProcess[str]:
    return run(
        *("train", "latent-statistics", "--images", cohort / "images.npz", "--metadata", cohort / "metadata.csv"),
        *("--label", "label", "--subject", "subject", "--sex", "sex", "--age", "age"),
        *("--epsilon", epsilon, "--public-n", 50, "--size", 24, "--set", "n_components=6", "--out", out, *more),
    )


def test_from_cohort_to_synthetic_images(cohort: Path, tmp_path: Path) -> None:
    done = train(cohort, tmp_path / "g", "--json")
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)
    assert card["name"] == "latent-statistics"
    assert card["spend"]["accountant"] == "prv"
    assert card["image_size"] == 24
    counts = tmp_path / "counts.csv"
    counts.write_text("label,n,sex,age_group\nnodule,3,F,65+\nnormal,4,,\n")
    done = run("sample", tmp_path / "g", "--counts", counts, "--seed", 2, "--out", tmp_path / "s.npz", "--json")
    assert json.loads(done.stdout)["n_images"] == 7
    with np.load(tmp_path / "s.npz") as archive:
        assert set(archive.files) == {"images", "labels", "sex", "age_group"}
        assert archive["labels"].tolist() == ["nodule"] * 3 + ["normal"] * 4


def test_list_and_plan_load_no_torch() -> None:
    code = (
        "import sys, generators.cli as c\n"
        "sys.argv[1:] = ['list', '--json']\n"
        "try: c.main()\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    listed, torch_loaded = done.stdout.splitlines()
    assert [row["name"] for row in json.loads(listed)["generators"]] == list(GENERATORS)
    assert torch_loaded == "False"
    plan = json.loads(run("plan", "--public-n", 500, "--epsilon", 8, "--json").stdout)
    assert plan["generator"] == "latent-statistics"
    assert plan["enough_subjects"]
    assert not json.loads(run("plan", "--public-n", 20, "--epsilon", 0.5, "--json").stdout)["enough_subjects"]


def test_a_reference_without_privacy_says_so(cohort: Path, tmp_path: Path) -> None:
    done = run(
        *("train", "latent-statistics", "--images", cohort / "images.npz", "--metadata", cohort / "metadata.csv"),
        *("--label", "label", "--subject", "subject", "--merge", "nodule+opacity=finding"),
        *("--labels", "normal,finding", "--non-private", "--public-n", 50, "--size", 24, "--json"),
        *("--set", "n_components=6", "--out", tmp_path / "g"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("NOT PRIVATE: trained without noise")
    card = json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (card["budget"]["accountant"], card["spend"]["spent_epsilon"]) == ("none", None)
    assert card["labels"] == ["normal", "finding"]


def test_plan_says_when_a_cohort_is_too_small() -> None:
    told = run("plan", "--subjects", 60, "--images", 90, "--size", 64, "--epsilon", 0.3, "--labels", 4).stdout
    assert "TOO SMALL: 60 subjects are too few for epsilon 0.3 and 4 labels" in told


def test_settings_are_listed_with_what_they_mean(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("generators.cli.GENERATORS", {"vae": GENERATORS["vae"]})
    list_generators(settings=True)
    told = capsys.readouterr().out
    assert told.startswith("vae                  conditional variational autoencoder")
    assert ", from 1: expected subjects a step; enters the guarantee\n" in told


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param(("--epsilon", 0), "epsilon: epsilon is 0", id="epsilon 0"),
        pytest.param(("--delta", 1), "delta: delta is 1", id="delta 1"),
        pytest.param(("--label", "nope"), "no column 'nope'; it has index, subject", id="missing column"),
        pytest.param(("--set", "n_components"), "--set: 'n_components' is no key=value", id="no value"),
        pytest.param(("--images", "absent.npz"), "absent.npz: no such file", id="no file"),
        pytest.param(("--out", "/proc/nowhere/g"), "cannot be made", id="no such place"),
        pytest.param(("--frobnicate",), "No such option", id="unknown option"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_2(
    cohort: Path, tmp_path: Path, more: tuple[object, ...], message: str
) -> None:
    done = train(cohort, tmp_path / "g", *more)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "g").exists()
