"""Starting a training run through the page."""

import pytest

GOOD = {
    "generator": "latent-statistics",
    "epsilon": "2",
    "delta": "0.00001",
    "accountant": "prv",
    "image_size": "64",
    "seed": "0",
    "public_data": "",
}
BAD = {
    "epsilon 0": ({"epsilon": "0"}, "epsilon: epsilon is 0.0; give a number above 0"),
    "epsilon below 0": ({"epsilon": "-1"}, "epsilon: epsilon is -1.0; give a number above 0"),
    "delta 1": ({"delta": "1"}, "delta: delta is 1.0; give a number in (0, 1)"),
    "delta above 1/(10 n)": ({"delta": "0.001"}, "is above 1/(10 x public n)"),
    "beyond the budget": ({"epsilon": "50"}, "budget of cohort chest"),
    "unknown generator": ({"generator": "gan9000"}, "Select a valid choice."),
    "a generator that needs settings": ({"generator": "lora"}, "Select a valid choice."),
    "unknown accountant": ({"accountant": "trust me"}, "Select a valid choice."),
    "image size": ({"image_size": "5000"}, "image size: is 5000; choose 16 to 512 pixels"),
    "no number": ({"seed": "x"}, "Enter a whole number."),
}


def test_a_run_starts_and_its_page_polls(people, cohort, visit):
    from veilmark.training_runs.models import TrainingRun

    response = visit(people.custodian, f"/training-runs/new/{cohort.pk}/", GOOD, follow=True)
    run = TrainingRun.objects.get()
    assert (run.trainer, run.target_epsilon, run.accountant) == (people.custodian, 2.0, "prv")
    text = response.content.decode()
    assert f'hx-get="/jobs/{run.job_id}/progress"' in text
    assert "reserved before the first image is read" in text


@pytest.mark.parametrize(("changed", "line"), BAD.values(), ids=BAD)
def test_a_bad_plan_is_one_line_and_starts_nothing(people, cohort, visit, changed, line):
    from veilmark.jobs.models import Job
    from veilmark.training_runs.models import TrainingRun

    response = visit(people.custodian, f"/training-runs/new/{cohort.pk}/", GOOD | changed)
    text = response.content.decode()
    assert response.status_code == 400
    assert line in text
    assert text.count('role="alert"') == 1
    assert not TrainingRun.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.parametrize(("n", "status"), [(4, 400), (5, 302)])
def test_a_label_that_too_few_of_the_train_split_bear_is_told_before_the_run(people, cohort, visit, n, status):
    from veilmark.training_runs.models import TrainingRun

    cohort.n_train_subjects_by_label = {"nodule": n, "normal": 300}
    cohort.save()
    response = visit(people.custodian, f"/training-runs/new/{cohort.pk}/", GOOD)
    assert response.status_code == status
    assert TrainingRun.objects.exists() == (n == 5)
    if n == 4:
        line = "is borne by 4 subjects of the train split, fewer than 5"
        assert line in response.content.decode()


def test_a_failed_run_shows_its_one_line(people, training_run, visit):
    training_run.state, training_run.error = "failed", "images: holds one label; add another"
    training_run.save()
    assert "images: holds one label" in visit(people.custodian, f"/training-runs/{training_run.pk}/").content.decode()
