"""The benchmark: one split for all rows, each cell in a process of its own, finished cells never repeated."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from audits.base import AuditError
from audits.bench import judging, likeness, running
from audits.bench.asking import parse_settings, plan_cells
from audits.bench.cells import FIGURES, REAL, SIMULATOR, Cell, CellResult, add_result, read_results
from audits.bench.datasets import PHANTOMS, Wish, load_cohort
from audits.bench.network import fit_network
from audits.bench.rows import all_rows
from audits.bench.table import markdown, paired_difference
from audits.cli import app
from generators.phantoms import write_phantom_cohort

SHARED = Path(os.environ.get("VEILMARK_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
BALLAST_BYTES = 900 * 2**20
MEASURE_APART = running._measure_apart
TINY = ("--data", PHANTOMS, "--subjects", "270", "--size", "16", "--n", "60")
CELL = Cell(
    data=PHANTOMS, data_digest="sha256:00", row=REAL, unit="subject", epsilon=None, delta=1e-5, accountant="prv",
    public_n_subjects=160, n_images=60, seed=0,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def short_cells() -> Iterator[None]:
    """Cells in this process, and judges of few steps: what is tested here is not how well they judge."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "_measure_apart", running._measure)
        patch.setitem(judging.JUDGES, "network", partial(fit_network, n_steps=10))
        patch.setattr(likeness, "DETECTOR_STEPS", 10)
        yield


def _bench(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["bench", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a first run of two rows at one epsilon leaves."""
    out = tmp_path_factory.mktemp("bench") / "results.jsonl"
    code, table, said = _bench(
        *TINY, "--out", str(out), "--epsilon", "8", "--seeds", "1", "--rows", "latent-statistics"
    )
    assert code == 0, said
    assert "latent-statistics" in table
    return out


def test_a_cell_is_a_line_with_figures_and_the_spend_of_one_subject(results: Path) -> None:
    real, ours = read_results(results)
    assert (real.cell.row, ours.cell.row, ours.refused) == (REAL, "latent-statistics", "")
    assert real.cell.data_digest == ours.cell.data_digest
    assert set(ours.figures) == set(FIGURES)
    assert 0 < ours.figures["spent_epsilon"] <= 8
    assert ours.figures["cpu_s"] > 0
    assert set(ours.by_judge) == {"logistic", "network", "boosted"}
    assert 0 < ours.figures["tstr_balanced_accuracy"] < 1
    assert ours.spend is not None
    assert (ours.spend["privacy_unit"], ours.spend["delta"]) == ("subject", 1e-5)


def test_a_second_run_measures_only_what_is_missing(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text(results.read_text())
    code, _, said = _bench(*TINY, "--out", str(out), "--epsilon", "8", "--seeds", "1", "--rows", "simulator",
                           "latent-statistics")  # fmt: skip
    assert code == 0, said
    assert out.read_text().startswith(results.read_text())
    assert [result.cell.row for result in read_results(out)] == [REAL, "latent-statistics", SIMULATOR]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
def test_the_memory_of_a_cell_is_its_own(tmp_path: Path) -> None:
    """Started by a process that holds much memory itself."""
    out, ballast = tmp_path / "results.jsonl", np.ones(BALLAST_BYTES, dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "_measure_apart", MEASURE_APART)
        code, _, said = _bench(*TINY, "--out", str(out), "--epsilon", "8", "--seeds", "1", "--rows", "real")
    assert code == 0, said
    assert 2**25 < read_results(out)[0].figures["peak_memory_bytes"] < BALLAST_BYTES
    assert ballast.nbytes == BALLAST_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["peer-dpdm", "peer-dpfeta", "peer-dpgan"])
def test_a_peer_spends_the_budget_of_the_other_rows(tmp_path: Path, peer: str) -> None:
    out = tmp_path / "results.jsonl"
    few = (f"{peer}.n_steps=2", f"{peer}.width=8", f"{peer}.batch_size=160", f"{peer}.microbatch=64")
    warm = ("peer-dpfeta.warmup_steps=2", "peer-dpfeta.n_central=1", "peer-dpfeta.central_rate=1")
    code, _, said = _bench(*TINY, "--out", str(out), "--epsilon", "8", "--seeds", "1", "--rows", peer, "--accountant",
                           "rdp", "--set", *few, *(warm if peer == "peer-dpfeta" else ()))  # fmt: skip
    assert code == 0, said
    made = read_results(out)[1]
    assert made.refused == ""
    assert 7 < made.figures["spent_epsilon"] <= 8
    assert made.cell.settings


def _result(row: str, epsilon: float | None, seed: int, value: float | None) -> CellResult:
    figures = dict.fromkeys(FIGURES, 1.0) | {"tstr_balanced_accuracy": value}
    return CellResult(
        cell=replace(CELL, row=row, epsilon=epsilon, seed=seed), figures=figures, reasons={}, by_judge={}, spend=None,
        versions={}, machine="a machine", measured_at="2026-01-01T00:00:00+00:00", command="python -m audits bench",
    )  # fmt: skip


def test_the_table_has_medians_ranges_and_paired_differences() -> None:
    ours = [_result("vae", 8.0, seed, value) for seed, value in enumerate((0.9, 0.7, 0.8))]
    theirs = [_result("peer-dpdm", 8.0, seed, value) for seed, value in enumerate((0.6, 0.4, 0.5))]
    said = markdown([_result(REAL, None, 0, 0.95), *ours, *theirs])
    assert "| vae | 8 | 3 | 0.800 (0.700 to 0.900) |" in said
    assert "| peer-dpdm | 3 | +0.300 (+0.300 to +0.300) |" in said
    assert "| real | 3 | -0.150" in said
    assert all(word in said for word in ("a machine", "2026-01-01", "`python -m audits bench`"))


def test_a_figure_that_one_seed_lacks_is_left_empty() -> None:
    said = markdown([_result("vae", 8.0, 0, 0.9), _result("vae", 8.0, 1, None)])
    assert "| vae | 8 | 2 |  |" in said


def test_a_refused_row_is_named_with_its_reason() -> None:
    refused = replace(_result("vae", 8.0, 0, None), refused="phantoms are grey", figures=dict.fromkeys(FIGURES))
    assert "- `vae`: phantoms are grey" in markdown([_result(REAL, None, 0, 0.9), refused])


@pytest.mark.parametrize(
    ("ours", "theirs", "low"), [([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], 2 - 4.3027 / math.sqrt(3)), ([1.0], [0.5], None)]
)
def test_the_interval_of_pairs_is_students(ours: Sequence[float], theirs: Sequence[float], low: float | None) -> None:
    found = paired_difference(ours, theirs)
    assert found.mean == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert found.low == (None if low is None else pytest.approx(low, abs=1e-3))


def test_every_row_meets_every_epsilon_and_seed_once() -> None:
    rows = [REAL, SIMULATOR, "vae", "vae@none"]
    cells = plan_cells(CELL, rows=rows, epsilons=[1, 8, 1], n_seeds=3, settings={"vae": ("n_steps=2",)})
    assert len(cells) == len(set(cells)) == 1 + 3 + 2 * 3 + 3
    assert {cell.epsilon for cell in cells if cell.row in {SIMULATOR, "vae@none"}} == {None}
    assert {cell.settings for cell in cells if cell.row == "vae"} == {("n_steps=2",)}


def test_settings_belong_to_their_row_and_all_rows_hold_peers() -> None:
    assert parse_settings(["vae.n_steps=2", "vae.width=8", "gan.labels=a=b"]) == {
        "vae": ("n_steps=2", "width=8"), "gan": ("labels=a=b",)
    }  # fmt: skip
    assert {REAL, SIMULATOR, "peer-dpdm", "peer-dpfeta", "peer-dpgan", "vae"} <= set(all_rows({}))
    assert "lora" not in all_rows({})


def test_a_folder_is_split_by_subject_and_alike_each_time(tmp_path: Path) -> None:
    write_phantom_cohort(tmp_path, n_subjects=270, size=32)
    columns = {"label": "label", "subject": "subject", "sex": "sex", "age": "age"}
    first, again, other = (
        load_cohort(str(tmp_path), Wish(size=16, split_seed=seed, columns=columns)).images for seed in (0, 0, 1)
    )
    assert first.digest == again.digest != other.digest
    train, holdout = first.of_split("train"), first.of_split("holdout")
    assert not set(train.subjects()) & set(holdout.subjects())
    assert train.images.shape[1:] == (16, 16)


def test_digits_and_their_simulator_have_one_shape() -> None:
    cohort = load_cohort("digits", Wish())
    assert len(cohort.images.of_split("train")) == cohort.public_n == 1200
    assert cohort.simulate is not None
    drawn = cohort.simulate(40, 8, 0)
    assert (drawn.images.shape, len(set(drawn.label))) == ((40, 8, 8), 10)
    assert (cohort.unit, int(cohort.images.images.max())) == ("record", 255)


SETS = {
    "cxr_nih_1000": ("subject", 2, (32, 32)),
    "brain_mri_tumor": ("record", 4, (32, 32)),
    "pneumoniamnist": ("record", 2, (32, 32)),
    "skin_ham10000": ("record", 7, (32, 32, 3)),
}


@pytest.mark.parametrize(("name", "known"), SETS.items(), ids=SETS)
def test_a_shared_set_is_read_by_its_name(name: str, known: tuple[str, int, tuple[int, ...]]) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no {name}: set VEILMARK_SHARED_DATA to the folder that holds it")
    cohort = load_cohort(name, Wish(size=32, cap=600))
    train = cohort.images.of_split("train")
    assert (cohort.unit, len(set(train.label)), train.images.shape[1:]) == known
    assert cohort.images.subject is None or not set(train.subjects()) & set(
        cohort.images.of_split("holdout").subjects()
    )
    pixels = [image.tobytes() for image in cohort.images.images]
    assert name != "brain_mri_tumor" or len(set(pixels)) == len(pixels)
    assert (cohort.view is not None) == (name == "cxr_nih_1000")


BAD = {
    "no such data": (("--data", "nowhere"), "nowhere: no folder with images.npz"),
    "too few people": (("--subjects", "60"), "are needed"),
    "an unknown generator": (("--rows", "oracle"), "no such generator: oracle"),
    "the old name of that option": (("--generator", "oracle"), "no such generator: oracle"),
    "an unknown setting": (("--set", "peer-dpdm.stpes=2"), "stpes: no such setting"),
    "a setting without its row": (("--set", "n_steps=2"), "is no ROW.key=value"),
    "a setting of real images": (("--set", "real.n_steps=2"), "real: has no settings"),
    "epsilon below 0": (("--epsilon", "-1"), "epsilon is -1"),
    "delta too large": (("--delta", "0.1"), "delta 0.1 is above"),
    "public n of 0": (("--public-n", "0"), "public n: is 0"),
    "no seeds": (("--seeds", "0"), "seeds: is 0"),
    "no splits": (("--splits", "0"), "splits: is 0"),
    "too few images": (("--n", "5"), "n: is 5"),
    "no such public file": (("--public", "/nowhere/p.npz"), "/nowhere/p.npz: no such file"),
    "digits at another size": (("--data", "digits", "--size", "16"), "the digits have 8 pixels"),
    "results that are something else": (("--out", __file__), "is no result of a benchmark"),
    "an unwritable place": (("--out", "/nowhere/r.jsonl"), "/nowhere/r.jsonl: cannot be written"),
}


@pytest.mark.parametrize(("extra", "said"), BAD.values(), ids=BAD)
def test_bad_input_gives_one_line_and_writes_nothing(tmp_path: Path, extra: tuple[str, ...], said: str) -> None:
    code, _, error = _bench(*TINY, "--rows", "real", "--epsilon", "8", "--out", str(tmp_path / "r.jsonl"), *extra)
    complaint = [line for line in error.splitlines() if line.startswith("error: ")]
    assert code == 2
    assert len(complaint) == 1
    assert said in complaint[0]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_needs_a_declared_number_of_subjects(tmp_path: Path) -> None:
    write_phantom_cohort(tmp_path, n_subjects=270, size=16)
    named = ("--data", str(tmp_path), "--label", "label", "--subject", "subject", "--size", "16", "--rows", "real")
    code, _, error = _bench(*named, "--epsilon", "8", "--out", str(tmp_path / "r.jsonl"))
    assert (code, "--public-n" in error) == (2, True)
    assert not (tmp_path / "r.jsonl").exists()


def test_a_damaged_line_is_named_and_a_torn_last_one_replaced(tmp_path: Path) -> None:
    out, result = tmp_path / "r.jsonl", _result("vae", 8.0, 0, 0.9)
    add_result(out, result)
    whole = out.read_text()
    out.write_text(whole + whole[:50])
    assert read_results(out) == [result]
    add_result(out, _result("vae", 8.0, 1, 0.9))
    assert [json.loads(line)["cell"]["seed"] for line in out.read_text().splitlines()] == [0, 1]
    out.write_text(whole + '{"cell": {}}\n')
    with pytest.raises(AuditError, match="line 2: is no result"):
        read_results(out)
