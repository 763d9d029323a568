from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.accounting import spend_of
from generators.base import ResumeError
from generators.privacy import GaussianEvent, StepRecord
from generators.steps_log import FILE, Recorders, StepsLog, read_log, spent_from_log

EVENT = GaussianEvent(noise_multiplier=1.5, sample_rate=0.25, steps=10)
PLAN = spend_of([EVENT], delta=1e-5, accountant="rdp", privacy_unit="subject")


def record(step: int) -> StepRecord:
    return StepRecord(step=step, noise_multiplier=1.5, sample_rate=0.25, phase="train")


def logged(folder: Path, n_steps: int) -> Path:
    log = StepsLog(folder)
    log.reserve(PLAN)
    for step in range(n_steps):
        log.step(record(step))
    return folder / FILE


def test_the_log_counts_every_step(tmp_path: Path) -> None:
    logged(tmp_path, 3)
    assert spent_from_log(tmp_path).events == (GaussianEvent(noise_multiplier=1.5, sample_rate=0.25, steps=3),)


@settings(deadline=None)  # every line is synced, and a busy disk takes its time
@given(cut=st.integers(min_value=1, max_value=60))
def test_a_torn_last_line_still_counts(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("log")
    path = logged(folder, 3)
    path.write_bytes(path.read_bytes()[:-cut])
    assert spent_from_log(folder).events[0].steps == 3
    StepsLog(folder).step(record(3))
    assert spent_from_log(folder).events[0].steps == 4


def test_steps_without_a_plan_are_refused(tmp_path: Path) -> None:
    StepsLog(tmp_path).step(record(0))
    with pytest.raises(ResumeError, match="without a reservation"):
        spent_from_log(tmp_path)


def test_an_empty_folder_has_no_log(tmp_path: Path) -> None:
    assert read_log(tmp_path) is None
    with pytest.raises(ResumeError):
        spent_from_log(tmp_path)


def test_every_recorder_is_told(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    both = Recorders([StepsLog(folder) for folder in folders])
    both.reserve(PLAN)
    both.step(record(0))
    both.settle(PLAN)
    assert all((run := read_log(folder)) is not None and run.settled and run.n_steps == 1 for folder in folders)
