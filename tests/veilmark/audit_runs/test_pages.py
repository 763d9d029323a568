"""The page of an audit run, and the report at its own address under its own content policy."""

import pytest


@pytest.fixture
def audit_run(synthetic_set):
    run = synthetic_set.audit_runs.get()
    described = {"unit": "share", "method": "a test", "source": "a paper"}
    run.report["measurements"] = [row | described for row in run.report["measurements"]]
    run.report["measurements"].append(
        {"name": "membership_inference.shadow", "status": "no_power", "reason": "12 people are too few", "value": None}
        | described
    )
    run.save()
    return run


def test_every_measurement_is_a_line_with_its_interval(people, audit_run, visit):
    text = visit(people.officer, f"/audit-runs/{audit_run.pk}/").content.decode().replace("\N{NO-BREAK SPACE}", " ")
    assert "Copies were not detected above 1.0 % of the synthetic images at 95 % confidence." in text
    assert "0.46 to 0.54" in text
    assert "No power" in text
    assert "This audit could not have found it: 12 people are too few." in text


def test_the_report_may_style_itself_and_run_nothing(people, audit_run, visit):
    from veilmark.core.storage import file_store

    key = bytes(audit_run.synthetic_set.training_run.cohort.wrapped_key)
    page = b"<!doctype html><style>p{color:red}</style><p>internal form</p>"
    file_store().put(f"audit_runs/{audit_run.pk}/internal.html", page, wrapped_key=key)
    response = visit(people.custodian, f"/audit-runs/{audit_run.pk}/report/")
    assert response.content == page
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy["style-src"] == "'unsafe-inline'"
    assert (policy["script-src"], policy["default-src"]) == ("'none'", "'none'")


@pytest.mark.parametrize("role", ["clinician", "researcher", "operator"])
def test_the_internal_report_is_for_custodian_and_officers(people, audit_run, visit, role):
    assert visit(getattr(people, role), f"/audit-runs/{audit_run.pk}/report/").status_code == 403


def test_audits_are_started_by_a_button_alone(people, synthetic_set, visit):
    address = f"/audit-runs/new/{synthetic_set.pk}/"
    assert visit(people.custodian, address).status_code == 405
    assert visit(people.custodian, address, {}).status_code == 302
    assert synthetic_set.audit_runs.filter(state="enqueued").count() == 1
