"""The pages do their work with JavaScript switched off."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_officers_vote_and_sign(sign_in, people, in_review):
    from veilmark.releases.models import Release

    officers = [sign_in(name, java_script_enabled=False) for name in ("officer", "second_officer")]
    for page in officers:
        page.get_by_role("link", name="Vote (Chest X-rays)").click()
        page.get_by_label("approve").check()
        page.get_by_label("Reason").fill("the audits hold")
        page.get_by_role("button", name="Vote").click()
        expect(page.get_by_text("Vote: done.")).to_be_visible()
    for page in officers:
        page.wait_for_load_state()  # a page that still loads can abort the next one
        page.goto("/")
        page.get_by_role("link", name="Sign the digest (Chest X-rays)").click()
        page.get_by_label("Password").fill(people.password)
        page.get_by_role("button", name="Sign the digest").click()
        expect(page.get_by_text("Sign the digest: done.")).to_be_visible()
    assert Release.objects.get(pk=in_review.pk).state == "approved"


def test_a_researcher_asks_and_downloads(sign_in, people, released, bundle_bytes, finish_copies):
    from veilmark.access.models import AccessRequest
    from veilmark.access.services import request_decide

    page = sign_in("researcher", java_script_enabled=False)
    page.get_by_role("link", name="Read the agreement").click()
    page.get_by_role("button", name="I accept the agreement").click()
    page.get_by_role("link", name="Request access to Chest X-rays").click()
    page.get_by_label("Your project").fill("nodule detectors")
    page.get_by_role("button", name="Send the request").click()
    request_decide(request=AccessRequest.objects.get(), approve=True, reason="fits", acting_user=people.officer)
    page.goto("/")
    page.get_by_role("link", name="Download Chest X-rays").click()
    assert "Your copy is being prepared" in page.content()
    finish_copies()
    page.reload()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the bundle").click()
    assert download.value.path().read_bytes() == bundle_bytes


def test_a_running_job_reloads_the_page(sign_in, people, training_run, run_jobs):
    from veilmark.jobs.models import Job
    from veilmark.jobs.services import job_enqueue

    training_run.job = job_enqueue(task="training_runs:train", arguments={}, acting_user=people.custodian)
    training_run.save()
    page = sign_in("custodian", java_script_enabled=False)
    page.goto(f"/training-runs/{training_run.pk}/")
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_have_attribute("value", "0")
    Job.objects.filter(pk=training_run.job_id).update(state="running", n_done=40, n_total=100)
    expect(bar).to_have_attribute("value", "40", timeout=15_000)
