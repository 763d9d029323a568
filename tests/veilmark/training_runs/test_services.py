"""What a training run may cost is decided before it starts, reserved before it looks, and counted whatever happens."""

from __future__ import annotations

from typing import Any

import pytest

from generators.base import BudgetError, ConfigError, no_progress
from veilmark.accounts.services import person_create
from veilmark.cohorts.mapping import find_mapping
from veilmark.cohorts.services import CohortTerms, cohort_create
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.jobs.models import Job
from veilmark.ledger.models import Event, PrivacySpendRecord
from veilmark.ledger.selectors import cohort_spends, events_of
from veilmark.training_runs.models import TrainingRun
from veilmark.training_runs.recorder import cohort_spend, require_within_budget
from veilmark.training_runs.selectors import training_runs_visible
from veilmark.training_runs.services import TrainingPlan, run_folder, training_run_carry_out, training_run_start

pytestmark = [pytest.mark.django_db, pytest.mark.database]

FEW_STEPS = {"n_steps": 2, "batch_size": 12, "width": 8, "n_latents": 4}


@pytest.fixture
def start(walked: Any) -> Any:
    """`start(epsilon=1)`: the custodian of the walked cohort, of which 8 of 10 are spent, starts a run."""

    def begin(acting_user: Any = None, **plan: Any) -> TrainingRun:
        wanted = TrainingPlan(**{"epsilon": 1.0, "image_size": 32} | plan)
        return training_run_start(
            cohort=walked.cohort, plan=wanted, acting_user=acting_user or walked.people["custodian"]
        )

    return begin


REFUSED = {
    "epsilon of nothing": ({"epsilon": 0}, BudgetError, "epsilon: epsilon is 0; give a number above 0"),
    "negative epsilon": ({"epsilon": -1}, BudgetError, "epsilon: epsilon is -1"),
    "epsilon of NaN": ({"epsilon": float("nan")}, BudgetError, "epsilon: epsilon is nan"),
    "endless epsilon": ({"epsilon": float("inf")}, BudgetError, "epsilon: epsilon is inf"),
    "delta of 1": ({"delta": 1.0}, BudgetError, "delta: delta is 1.0; give a number in (0, 1)"),
    "delta of nothing": ({"delta": 0.0}, BudgetError, "delta: delta is 0.0"),
    "delta above its bound": ({"delta": 1e-3}, BudgetError, "delta: delta 0.001 is above 1/(10 x public n) = 0.00033"),
    "spent already": ({"epsilon": 2.5}, BudgetError, "budget of cohort walked: epsilon 8.00 of 10 is spent"),
    "noise alone": ({"epsilon": 0.01}, BudgetError, "epsilon: noise would drown the signal at 0.01 for 300 subjects"),
    "public set that is not there": ({"public_data": "none.npz"}, ApplicationError, "none.npz: no such public set"),
    "public set elsewhere on the server": (
        {"public_data": "../files"},
        ApplicationError,
        "../files: no such public set",
    ),
    "unknown generator": ({"generator": "dall-e"}, ConfigError, "dall-e"),
    "unknown setting": ({"config": {"colour": 3}}, ConfigError, "colour: no such setting; choose among"),
    "setting out of range": ({"config": {"n_components": 0}}, ConfigError, "n_components: is 0"),
    "unknown accountant": ({"accountant": "mine"}, BudgetError, "accountant: is 'mine'"),
    "unknown device": ({"device": "tpu"}, ConfigError, "device: is 'tpu'; choose one of auto, cpu, cuda"),
    "no public network named": ({"generator": "lora"}, ApplicationError, "base '': no such public network"),
    "network elsewhere on the server": (
        {"generator": "lora", "config": {"base": "/etc"}},
        ApplicationError,
        "base '/etc': no such public network; the operator puts a folder of diffusers into var/public",
    ),
    "network beside the public ones": (
        {"generator": "lora", "config": {"base": "../training_runs"}},
        ApplicationError,
        "base '../training_runs': no such public network",
    ),
    "tiny images": ({"image_size": 8}, ApplicationError, "image size: is 8; choose 16 to 512 pixels"),
    "negative seed": ({"seed": -1}, ApplicationError, "seed: is -1"),
}


@pytest.mark.parametrize(("plan", "kind", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_a_run_that_cannot_be_is_refused_at_once(walked, start, plan, kind, line):
    before = (TrainingRun.objects.count(), Job.objects.count(), Event.objects.count())
    with pytest.raises(kind) as refused:
        start(**plan)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (TrainingRun.objects.count(), Job.objects.count(), Event.objects.count()) == before


def test_only_the_cohorts_own_custodian_trains(walked, start):
    other = person_create(username="other", password="a long enough passphrase", role="custodian")
    with pytest.raises(NotAllowedError, match="cohort walked: belongs to another custodian"):
        start(acting_user=other)
    for name in ("officer", "researcher", "operator", "clinician"):
        with pytest.raises(NotAllowedError):
            start(acting_user=walked.people[name])
    assert list(training_runs_visible(other)) == []
    assert training_runs_visible(walked.people["officer"]).count() == 1


def test_the_spend_is_reserved_before_and_settled_after(walked):
    run = walked.training_run
    (record,) = PrivacySpendRecord.objects.all()
    assert (record.run_id, record.cohort_id, record.phase) == (run.pk, walked.cohort.pk, "settled")
    assert record.epsilon == run.spent_epsilon == run.card["spend"]["spent_epsilon"] <= run.target_epsilon == 8
    kinds = list(
        Event.objects.filter(kind__regex="^(privacy|training_run):").order_by("sequence").values_list("kind", flat=True)
    )
    assert kinds == [
        "training_run:requested",
        "training_run:started",
        "privacy:reserved",
        "privacy:settled",
        "training_run:finished",
    ]
    assert run.generator_digest.startswith("sha256:")
    assert (run_folder(run) / "steps.log").exists()


def test_the_run_folder_holds_nothing_private(walked):
    from veilmark.cohorts.selectors import cohort_images

    images = cohort_images(walked.cohort)
    for path in run_folder(walked.training_run).rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not [code for code in set(images.subject) if code.encode() in data]
        assert images.images[0].tobytes()[:256] not in data


def test_runs_add_up(walked, start, run_jobs):
    first = cohort_spend(walked.cohort).spent_epsilon
    run = start(epsilon=1.5)
    assert cohort_spend(walked.cohort).spent_epsilon == first, "asking costs nothing"
    run_jobs()
    run.refresh_from_db()
    assert run.state == "done", run.error
    both = cohort_spend(walked.cohort).spent_epsilon
    assert first < both <= 9.5 + 1e-6, "composition is never above the sum"
    assert len(cohort_spends(walked.cohort.pk)) == 2
    with pytest.raises(BudgetError):
        require_within_budget(walked.cohort, wished_epsilon=10 - both + 0.01)


def test_a_run_that_fails_stays_reserved(walked, start):
    """Its noise was drawn: nobody can say that nothing was learnt (privacy.md 8)."""
    before = cohort_spend(walked.cohort).spent_epsilon
    run = start(epsilon=1.0)

    def fail_at_the_end(done: int, total: int, message: str = "") -> None:
        if done == 2:
            raise StateError("is full", where="disk", remedy="make room")

    with pytest.raises(StateError):
        training_run_carry_out(run=run, progress=fail_at_the_end)
    run.refresh_from_db()
    assert (run.state, run.error, run.spent_epsilon) == ("failed", "disk: is full; make room", None)
    record = PrivacySpendRecord.objects.get(run_id=run.pk)
    assert (record.phase, record.epsilon > 0.9) == ("reserved", True)
    assert cohort_spend(walked.cohort).spent_epsilon > before
    assert list(events_of(run).order_by("sequence").values_list("kind", flat=True)) == [
        "training_run:requested",
        "training_run:started",
        "training_run:failed",
    ]


def test_two_runs_that_fit_alone_but_not_together(walked, phantom_folder, run_jobs):
    custodian = walked.people["custodian"]
    cohort = cohort_create(
        source=phantom_folder,
        mapping=find_mapping(phantom_folder),
        terms=CohortTerms(name="small budget", public_n_subjects=300, epsilon_budget=2.0),
        acting_user=custodian,
        progress=no_progress,
    )
    plan = TrainingPlan(epsilon=2.0, image_size=32)
    runs = [training_run_start(cohort=cohort, plan=plan, acting_user=custodian) for _ in range(2)]
    run_jobs()
    for run in runs:
        run.refresh_from_db()
    assert [run.state for run in runs] == ["done", "failed"]
    assert "budget of cohort small budget: epsilon" in runs[1].error
    assert not PrivacySpendRecord.objects.filter(run_id=runs[1].pk).exists(), "it was stopped before it looked"


def test_a_run_killed_before_anything_was_charged_goes_on(walked, start):
    """A kill is no exception that the runner could tidy up after: the folder stays, without a steps.log."""
    run = start(generator="vae", image_size=16, config=FEW_STEPS | {"public_steps": 2})
    folder = run_folder(run)

    def die(done: int, total: int, message: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training_run_carry_out(run=run, progress=die)
    assert (folder / "run.json").exists()
    assert not (folder / "steps.log").exists()
    training_run_carry_out(run=run, progress=no_progress)
    assert run.state == "done"
    assert run.spent_epsilon <= 1
