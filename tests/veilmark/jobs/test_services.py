"""Jobs as the platform sees them: asked for with the change, told of by progress, ended once, however they end."""

import pytest
from django.db import transaction

from veilmark.core.errors import ApplicationError, NotFoundError, StateError
from veilmark.jobs import context, registry
from veilmark.jobs.execution import job_abandon, job_execute
from veilmark.jobs.models import Job
from veilmark.jobs.registry import task
from veilmark.jobs.services import job_cancel, job_enqueue, job_wait
from veilmark.ledger.models import Event

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def run(monkeypatch):
    """Register functions as tasks for one test."""
    monkeypatch.setattr(registry, "_TASKS", {})

    def register(function, **arguments):
        task("test:work")(function)
        return job_enqueue(task="test:work", arguments=arguments, acting_user=None)

    return register


def test_a_job_runs_with_its_arguments_and_ends_done(run, run_jobs, people):
    seen = []
    job = run(lambda job, *, n: seen.append((job.id, n)), n=3)
    assert run_jobs() == 1
    job.refresh_from_db()
    assert (job.state, seen) == ("done", [(job.id, 3)])
    assert job.started_at <= job.finished_at
    assert list(Event.objects.filter(subject_id=str(job.id)).values_list("kind", flat=True)) == [
        "job:enqueued",
        "job:done",
    ]


def refuse(job):
    raise ApplicationError("does not fit", where="row 3", remedy="correct it")


def break_down(job):
    raise RuntimeError("two\nlines")


@pytest.mark.parametrize(
    ("function", "error"),
    [(refuse, "row 3: does not fit; correct it"), (break_down, "RuntimeError: two lines")],
    ids=["refusal", "defect"],
)
def test_a_failure_is_one_line_for_its_person(run, run_jobs, function, error):
    job = run(function)
    run_jobs()
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", error)
    assert Event.objects.get(kind="job:failed").payload["error"] == error


def test_an_ended_job_is_never_run_again(run, run_jobs):
    n_runs = []
    job = run(lambda _: n_runs.append(1))
    run_jobs()
    assert job_execute(job.id) == "done"
    job_abandon(job.id, "its worker died")
    job.refresh_from_db()
    assert (len(n_runs), job.state) == (1, "done")


def test_a_task_that_a_dead_worker_began_is_run_again(run):
    """What the durable engine does after a crash: it calls again while the job says `running`."""
    job = run(lambda _: None)
    Job.objects.filter(id=job.id).update(state=Job.State.RUNNING)
    assert job_execute(job.id) == "done"


def test_asking_twice_with_one_key_gives_one_job(run):
    task("test:work")(refuse)
    jobs = [job_enqueue(task="test:work", arguments={}, acting_user=None, key="train 1") for _ in range(2)]
    assert jobs[0] == jobs[1]
    assert Job.objects.count() == 1
    assert Event.objects.filter(kind="job:enqueued").count() == 1


def test_a_change_that_is_undone_asks_for_nothing(run):
    with transaction.atomic():
        run(refuse)
        transaction.set_rollback(True)
    assert not Job.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize("name", ["test:unknown", "nowhere:work", "work", ""])
def test_an_unknown_task_is_refused_when_asked_for(run, name):
    with pytest.raises(NotFoundError):
        job_enqueue(task=name, arguments={}, acting_user=None)
    assert not Job.objects.exists()


def test_arguments_must_be_json(run):
    with pytest.raises(TypeError), transaction.atomic():
        run(refuse, when=object())


def test_two_functions_cannot_share_a_name(run):
    task("test:work")(refuse)
    with pytest.raises(ValueError, match="test:work"):
        task("test:work")(break_down)


def test_progress_reaches_the_database_but_not_at_every_call(run, run_jobs, monkeypatch, django_assert_max_num_queries):
    def work(job):
        with django_assert_max_num_queries(3):
            for done in range(1000):
                job.progress(done, 1000, "step " + "x" * 1000)
        row = Job.objects.get(id=job.id)
        assert (row.n_done, row.n_total, row.message[:5]) == (0, 1000, "step ")
        job.progress(500, 1000, "in time")
        context_clock[0] += 10
        job.progress(501, 1000, "later")
        assert Job.objects.get(id=job.id).percent == 50
        job.progress(1000, 1000)

    context_clock = [0.0]
    monkeypatch.setattr(context.time, "monotonic", lambda: context_clock[0])
    job = run(work)
    run_jobs()
    job.refresh_from_db()
    assert (job.state, job.error, job.percent) == ("done", "", 100)


def test_a_cancelled_job_stops_where_it_next_reports(run, run_jobs, people):
    def work(job):
        job.progress(0, 2)
        job_cancel(job=Job.objects.get(id=job.id), acting_user=people.operator)
        job.progress(2, 2)
        raise AssertionError("went on")

    job = run(work)
    run_jobs()
    job.refresh_from_db()
    assert (job.state, job.error) == ("cancelled", "")
    with pytest.raises(StateError):
        job_cancel(job=job, acting_user=people.operator)


def test_a_job_cancelled_before_its_start_never_starts(run, run_jobs, people):
    job = run(break_down)
    job_cancel(job=job, acting_user=people.operator)
    assert run_jobs() == 0
    assert job_execute(job.id) == "cancelled"


def test_only_who_may_cancels(run, people):
    job = run(break_down)
    with pytest.raises(ApplicationError):
        job_cancel(job=job, acting_user=people.researcher)
    job.refresh_from_db()
    assert job.state == "enqueued"


def test_waiting_for_a_job_that_no_worker_runs_ends_with_a_hint(run):
    with pytest.raises(StateError, match=r"manage\.py worker"):
        job_wait(run(refuse), timeout=0.1, poll_seconds=0.01)


def test_the_progress_fragment_is_for_its_person_and_for_operators(run, run_jobs, people, client):
    job = run(refuse)
    Job.objects.filter(id=job.id).update(created_by=people.custodian, n_done=1, n_total=4, state="running")
    url = f"/jobs/{job.id}/progress"
    assert client.get(url).status_code == 302
    client.force_login(people.custodian)
    page = client.get(url).content.decode()
    assert 'value="25"' in page
    assert f'hx-get="{url}"' in page
    client.force_login(people.operator)
    assert client.get(url).status_code == 200
    client.force_login(people.researcher)
    assert client.get(url).status_code == 403
    run_jobs()
    job_abandon(job.id, "its worker died")
    client.force_login(people.custodian)
    ended = client.get(url)
    assert "hx-get" not in ended.content.decode()
    assert ended["HX-Refresh"] == "true"
