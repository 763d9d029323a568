"""Asking for a release, deciding and revoking through the pages."""

import pytest


def ask(visit, people, released, **changed):
    sent = {"purpose": "research", "project": "nodule detectors"} | changed
    return visit(people.researcher, f"/access/requests/new/{released.pk}/", sent, follow=True)


def test_the_agreement_comes_first(people, released, visit):
    response = visit(people.researcher, f"/access/requests/new/{released.pk}/", follow=True)
    assert response.redirect_chain == [("/access/agreement/", 302)]
    assert "Accept the agreement first" in response.content.decode()


def test_from_catalogue_to_grant(people, released, visit):
    from veilmark.access.models import AccessRequest

    assert released.title in visit(people.researcher, "/access/catalogue/").content.decode()
    visit(people.researcher, "/access/agreement/", {})
    ask(visit, people, released)
    asked = AccessRequest.objects.get()
    decision = {"approve": "yes", "n_days": "30", "reason": "fits the purposes"}
    visit(people.officer, f"/access/requests/{asked.pk}/decide/", decision)
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by) == ("approved", people.officer)
    page = f"/access/grants/{asked.grant.pk}/"
    assert "veilmark download chest-1" in visit(people.researcher, page).content.decode()
    visit(people.officer, f"{page}revoke/", {"reason": "the project ended"})
    assert "veilmark download" not in visit(people.researcher, page).content.decode()


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"purpose": "advertising"}, "Select a valid choice."),
        ({"project": "  "}, "This field is required."),
    ],
    ids=["purpose", "project"],
)
def test_a_bad_request_is_one_line(people, released, visit, changed, line):
    from veilmark.access.models import AccessRequest

    visit(people.researcher, "/access/agreement/", {})
    response = ask(visit, people, released, **changed)
    assert response.status_code == 400
    assert line in response.content.decode()
    assert not AccessRequest.objects.exists()


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"n_days": "0"}, "days: is 0; choose 1 to 365"),
        ({"n_days": "4000"}, "days: is 4000; choose 1 to 365"),
        ({"reason": ""}, "This field is required."),
        ({"approve": "perhaps"}, "Select a valid choice."),
    ],
    ids=["no day", "too long", "no reason", "perhaps"],
)
def test_a_bad_decision_is_one_line_and_grants_nothing(people, released, visit, changed, line):
    from veilmark.access.models import AccessRequest, Grant

    visit(people.researcher, "/access/agreement/", {})
    ask(visit, people, released)
    sent = {"approve": "yes", "n_days": "30", "reason": "fits"} | changed
    response = visit(people.officer, f"/access/requests/{AccessRequest.objects.get().pk}/decide/", sent)
    assert response.status_code == 400
    assert line in response.content.decode()
    assert not Grant.objects.exists()


def test_a_project_is_shown_as_text(people, released, visit):
    visit(people.researcher, "/access/agreement/", {})
    ask(visit, people, released, project="<img src=x onerror=alert(1)>")
    text = visit(people.officer, "/").content.decode() + visit(people.officer, "/access/requests/").content.decode()
    from veilmark.access.models import AccessRequest

    text += visit(people.officer, f"/access/requests/{AccessRequest.objects.get().pk}/").content.decode()
    assert "<img" not in text
    assert "&lt;img src=x" in text
