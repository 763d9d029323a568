"""The benchmark: one split for all rows, each cell in a process of its own, finished cells never repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from audits.base import AuditError
from audits.bench import FIGURES, REAL, Cell, CellResult, plan_cells, read_results, summarise
from audits.bench_cohort import PHANTOMS, arms_of, load_cohort
from audits.cli import app
from generators.phantoms import write_phantom_cohort

SHARED = Path(os.environ.get("VEILMARK_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
TINY = ("--subjects", "270", "--size", "16", "--n", "60", "--generator", "latent-statistics")
BALLAST_BYTES = 300 * 2**20
CELL = Cell(
    data=PHANTOMS, data_digest="sha256:00", row=REAL, unit="subject", epsilon=None, delta=1e-5, accountant="prv",
    public_n_subjects=160, n_images=60, seed=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a first run at one epsilon leaves, started by a process that holds much memory itself."""
    out = tmp_path_factory.mktemp("bench") / "results.jsonl"
    ballast = np.ones(BALLAST_BYTES, dtype=np.uint8)
    arguments = ("--data", PHANTOMS, *TINY, "--out", str(out), "--epsilon", "8", "--seeds", "1")
    done = CliRunner().invoke(app, ["bench", *arguments])
    assert done.exit_code == 0, done.stderr
    assert "latent-statistics" in done.stdout
    assert ballast.nbytes == BALLAST_BYTES
    return out


def test_a_cell_is_a_line_with_figures_and_the_spend_of_one_subject(results: Path) -> None:
    real, ours = read_results(results)
    assert (real.cell.row, ours.cell.row) == (REAL, "latent-statistics")
    assert real.cell.data_digest == ours.cell.data_digest
    assert real.figures["tstr_minus_trtr"] == 0
    assert real.figures["tstr_auc"] == pytest.approx(ours.figures["tstr_auc"] - ours.figures["tstr_minus_trtr"])
    assert 0 < ours.figures["spent_epsilon"] <= 8
    assert ours.figures["wall_s"] > 0
    assert ours.spend is not None
    assert (ours.spend["privacy_unit"], ours.spend["delta"]) == ("subject", 1e-5)


def test_a_second_run_measures_only_what_is_missing(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text(results.read_text())
    arguments = ("--data", PHANTOMS, *TINY, "--out", str(out), "--epsilon", "8", "2", "--seeds", "1", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "audits", "bench", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert out.read_text().startswith(results.read_text())
    assert len(read_results(out)) == 3
    rows = json.loads(done.stdout)["rows"]
    assert [(row["row"], row["epsilon"]) for row in rows] == [(REAL, None), *(("latent-statistics", e) for e in (8, 2))]
    assert list(tmp_path.iterdir()) == [out]


def test_the_memory_of_a_cell_is_its_own(results: Path) -> None:
    peaks = [result.figures["peak_memory_bytes"] or 0 for result in read_results(results)]
    assert 2**25 < peaks[0] < peaks[1]
    assert peaks[0] < BALLAST_BYTES


def _result(epsilon: float | None, seed: int, auc: float | None) -> CellResult:
    return CellResult(
        cell=replace(CELL, epsilon=epsilon, seed=seed), figures=dict.fromkeys(FIGURES, 1.0) | {"tstr_auc": auc},
        intervals={}, reasons={}, spend=None, versions={}, machine="", measured_at="",
    )  # fmt: skip


def test_the_table_has_medians_and_hides_no_missing_seed() -> None:
    rows = summarise([_result(1.0, seed, auc) for seed, auc in enumerate((0.9, 0.5, 0.6))])
    assert [(row.n_seeds, row.medians["tstr_auc"]) for row in rows] == [(3, 0.6)]
    rows = summarise([_result(1.0, 0, 0.9), _result(1.0, 1, None), _result(8.0, 0, 0.7)])
    assert [row.medians["tstr_auc"] for row in rows] == [None, 0.7]


def test_every_generator_meets_every_epsilon_and_seed_once() -> None:
    cells = plan_cells(CELL, generators=["vae", "latent-statistics", "vae"], epsilons=[1, 8, 1], n_seeds=3)
    assert len(cells) == len(set(cells)) == 1 + 2 * 2 * 3


def test_a_folder_is_split_by_subject_and_alike_each_time(tmp_path: Path) -> None:
    write_phantom_cohort(tmp_path, n_subjects=270, size=32)
    columns = {"label": "label", "subject": "subject", "sex": "sex", "age": "age"}
    first, again, other = (
        load_cohort(str(tmp_path), size=16, n_phantoms=0, split_seed=seed, columns=columns) for seed in (0, 0, 1)
    )
    assert first.digest == again.digest != other.digest
    arms = arms_of(first)
    assert not set(arms.train.subjects()) & set(arms.holdout.subjects())
    assert arms.train.images.shape[1:] == (16, 16)


def test_a_shared_set_is_found_by_its_name() -> None:
    if not (SHARED / "cxr_nih_1000" / "images.npz").is_file():
        pytest.skip("no cxr_nih_1000: set VEILMARK_SHARED_DATA to the folder that holds it")
    columns = {"label": "repo_folder", "subject": "patient_id", "sex": "sex", "age": "age"}
    cohort = load_cohort("cxr_nih_1000", size=32, n_phantoms=0, split_seed=0, columns=columns)
    assert (len(cohort), cohort.n_subjects) == (1000, 682)
    assert arms_of(cohort).train.n_subjects == pytest.approx(0.6 * 682, abs=2)


BAD = {
    "no such data": (("--data", "nowhere"), "nowhere: no folder with images.npz"),
    "too few people": (("--subjects", "90"), "are needed"),
    "an unknown generator": (("--generator", "oracle"), "no such generator: oracle"),
    "epsilon below 0": (("--epsilon", "-1"), "epsilon is -1"),
    "delta too large": (("--delta", "0.1"), "delta 0.1 is above"),
    "public n of 0": (("--public-n", "0"), "public n: is 0"),
    "no seeds": (("--seeds", "0"), "seeds: is 0"),
    "too few images": (("--n", "5"), "n: is 5"),
    "results that are something else": (("--out", __file__), "is no result of a benchmark"),
    "an unwritable place": (("--out", "/nowhere/r.jsonl"), "/nowhere/r.jsonl: cannot be written"),
}


@pytest.mark.parametrize(("extra", "said"), BAD.values(), ids=BAD)
def test_bad_input_gives_one_line_and_writes_nothing(tmp_path: Path, extra: tuple[str, ...], said: str) -> None:
    usual = ("--data", PHANTOMS, *TINY, "--epsilon", "8", "--out", str(tmp_path / "r.jsonl"))
    done = CliRunner().invoke(app, ["bench", *usual, *extra])
    complaint = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.exit_code == 2
    assert len(complaint) == 1
    assert said in complaint[0]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_needs_a_declared_number_of_subjects(tmp_path: Path) -> None:
    write_phantom_cohort(tmp_path, n_subjects=270, size=16)
    named = ("--data", str(tmp_path), "--label", "label", "--subject", "subject", "--size", "16")
    done = CliRunner().invoke(app, ["bench", *named, "--epsilon", "8", "--out", str(tmp_path / "r.jsonl")])
    assert (done.exit_code, "--public-n" in done.stderr) == (2, True)
    assert not (tmp_path / "r.jsonl").exists()


def test_a_damaged_line_is_named(tmp_path: Path, results: Path) -> None:
    out = tmp_path / "r.jsonl"
    out.write_text(results.read_text() + '{"cell": {}}\n')
    with pytest.raises(AuditError, match="line 3: is no result"):
        read_results(out)
