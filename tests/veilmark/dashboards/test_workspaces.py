"""The first page of each role: what waits for that person, and nothing of others."""

import pytest


def text_of(response):
    return " ".join(response.content.decode().split())


def test_a_custodian_sees_budget_and_next_steps(people, drafted, visit):
    text = text_of(visit(people.custodian, "/"))
    assert "of 10 spent or reserved per subject" in text
    assert "Submit for audit" in text
    assert "Train a generator" in text


def test_another_custodian_begins_with_nothing(people, drafted, visit):
    from veilmark.accounts.services import person_create

    other = person_create(username="other", password=people.password, role="custodian")
    text = text_of(visit(other, "/"))
    assert "Begin with a cohort" in text
    assert drafted.title not in text


def test_an_officer_is_asked_to_vote_once(people, in_review, visit):
    address = f"/releases/{in_review.pk}/vote/"
    assert address in text_of(visit(people.officer, "/"))
    visit(people.officer, address, {"vote": "approve", "reason": "the audits hold"})
    text = text_of(visit(people.officer, "/"))
    assert address not in text
    assert "waits for another officer" in text


def test_a_researcher_finds_the_download(people, grant, visit):
    assert f"/access/grants/{grant.pk}/" in text_of(visit(people.researcher, "/"))
    page = text_of(visit(people.researcher, f"/access/grants/{grant.pk}/"))
    assert "veilmark download chest-1" in page
    assert f"/api/v1/grants/{grant.pk}/download/" in page


def test_an_operator_cancels_a_job(people, site, visit):
    from veilmark.jobs.models import Job

    assert visit(people.operator, f"/jobs/{site['job']}/cancel/", {}).status_code == 302
    assert Job.objects.get(pk=site["job"]).state == Job.State.CANCELLED
    assert visit(people.custodian, f"/jobs/{site['job']}/cancel/", {}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_the_ledger_is_verified_on_its_page(people, in_review, visit):
    assert "Whole:" in text_of(visit(people.operator, "/ledger/", {}))


def test_a_waiting_run_reloads_itself_without_javascript(people, training_run, visit):
    from veilmark.jobs.services import job_enqueue

    page = f"/training-runs/{training_run.pk}/"
    assert 'http-equiv="refresh"' not in text_of(visit(people.custodian, page))
    training_run.job = job_enqueue(task="training_runs:train", arguments={}, acting_user=people.custodian)
    training_run.save()
    text = text_of(visit(people.custodian, page))
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in text
    assert 'hx-trigger="every 1s"' in text
    assert f'hx-get="/jobs/{training_run.job_id}/progress"' in text_of(visit(people.custodian, "/"))
    # An officer may look at the run, not ask for its job: the bar stands still and asks for nothing.
    assert "hx-get" not in text_of(visit(people.officer, page))
