"""A worker killed in the middle of training: the next one goes on, and not one step is left uncounted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from generators.accounting import compose_spends
from generators.privacy import GaussianEvent, PrivacySpend
from generators.steps_log import read_log

ROOT = Path(__file__).resolve().parents[3]
N_STEPS = 200
pytestmark = pytest.mark.slow

START = f"""
import django, sys
django.setup()
from pathlib import Path
from generators.base import no_progress
from veilmark.accounts.services import person_create
from veilmark.cohorts.mapping import find_mapping
from veilmark.cohorts.services import CohortTerms, cohort_create
from veilmark.training_runs.services import TrainingPlan, run_folder, training_run_start

custodian = person_create(username="ada", password="a long enough passphrase", role="custodian")
source = Path(sys.argv[1])
terms = CohortTerms(name="c", public_n_subjects=400)
cohort = cohort_create(
    source=source, mapping=find_mapping(source), terms=terms, acting_user=custodian, progress=no_progress
)
config = {{"n_steps": {N_STEPS}, "batch_size": 12, "width": 8, "n_latents": 4, "public_steps": 0}}
plan = TrainingPlan(generator="vae", image_size=16, config=config)
print(run_folder(training_run_start(cohort=cohort, plan=plan, acting_user=custodian)))
"""
SHOW = """
import json, django
django.setup()
from veilmark.ledger.models import Event, PrivacySpendRecord
from veilmark.ledger.verify import ledger_verify
from veilmark.training_runs.models import TrainingRun
record = PrivacySpendRecord.objects.get()
print(json.dumps({
    "run": TrainingRun.objects.values("state", "error", "spent_epsilon").get(),
    "record": {"phase": record.phase, "epsilon": record.epsilon, "delta": record.delta, "events": record.events},
    "kinds": list(Event.objects.order_by("sequence").values_list("kind", flat=True)),
    "ledger_ok": ledger_verify().ok,
}))
"""


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a Python of an installation of its own."""
    environment = os.environ | {
        "VEILMARK_VAR": str(tmp_path / "var"),
        "VEILMARK_DATABASE_URL": "",
        "DJANGO_SETTINGS_MODULE": "veilmark.settings.embedded",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
        "OMP_NUM_THREADS": "1",
    }

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True)

    return start


def answer(process: subprocess.Popen[str]) -> str:
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return told.strip()


def test_a_killed_run_goes_on_and_counts_every_step(python, phantom_folder):
    manage = str(ROOT / "manage.py")
    answer(python(manage, "migrate", "-v0"))
    folder = Path(answer(python("-c", START, str(phantom_folder))))
    worker = python(manage, "worker")
    wait_for_steps(folder, 25)
    worker.kill()
    worker.communicate()

    killed, logged = json.loads(answer(python("-c", SHOW))), read_log(folder)
    assert killed["record"]["phase"] == "reserved"
    assert sum(event["steps"] for event in killed["record"]["events"]) == N_STEPS >= logged.n_steps
    planned = killed["record"]["epsilon"]
    assert planned >= epsilon_of(logged.events, killed["record"]["delta"])

    answer(python(manage, "worker", "--until-idle"))
    ended, logged_at_end = json.loads(answer(python("-c", SHOW))), read_log(folder)
    assert ended["run"]["state"] == "done", ended["run"]["error"]
    assert logged_at_end.n_steps >= logged.n_steps
    assert sum(event["steps"] for event in ended["record"]["events"]) == logged_at_end.n_steps == N_STEPS
    assert ended["record"]["phase"] == "settled"
    assert ended["run"]["spent_epsilon"] == ended["record"]["epsilon"] <= planned * (1 + 1e-9)
    assert ended["kinds"].count("privacy:reserved") == ended["kinds"].count("privacy:settled") == 1
    assert ended["kinds"].count("training_run:finished") == 1
    assert ended["ledger_ok"]


def wait_for_steps(folder: Path, n_steps: int) -> None:
    deadline = time.monotonic() + 120
    log = folder / "steps.log"
    while not log.exists() or log.read_text().count('"kind": "step"') < n_steps:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def epsilon_of(events: tuple[GaussianEvent, ...], delta: float) -> float:
    spend = PrivacySpend(spent_epsilon=0, delta=delta, accountant="prv", events=events)
    return compose_spends([spend], delta=delta, accountant="prv").spent_epsilon
