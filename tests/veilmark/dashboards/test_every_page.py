"""Every page for every role: opened, or refused in one line."""

import re
from string import Formatter
from uuid import UUID

import pytest

ROLES = ("custodian", "officer", "clinician", "researcher", "operator")
OK, NO, HIDDEN, ELSEWHERE = 200, 403, 404, 302
KEEPERS = (OK, OK, NO, NO, OK)
CUSTODIAN = (OK, NO, NO, NO, NO)
OFFICER = (NO, OK, NO, NO, NO)
JUDGES = (OK, OK, NO, NO, NO)
OPERATOR = (NO, NO, NO, NO, OK)
EVERYONE = (OK, OK, OK, OK, OK)

PAGES = {
    "/": EVERYONE,
    "/cohorts/": KEEPERS,
    "/cohorts/new/": CUSTODIAN,
    "/cohorts/{cohort}/": KEEPERS,
    "/cohorts/contracts/{contract}/": KEEPERS,
    "/cohorts/contracts/{refused}/": KEEPERS,
    "/training-runs/": KEEPERS,
    "/training-runs/new/{cohort}/": CUSTODIAN,
    "/training-runs/{run}/": KEEPERS,
    "/synthetic-sets/": (OK, OK, OK, NO, NO),
    "/synthetic-sets/new/{run}/": CUSTODIAN,
    "/synthetic-sets/{set}/": (OK, OK, OK, NO, NO),
    "/audit-runs/": JUDGES,
    "/audit-runs/{audit}/": JUDGES,
    "/audit-runs/{audit}/copies/": OFFICER,
    "/audit-runs/{audit}/copies/1/": OFFICER,
    "/audit-runs/{audit}/copies/4/": (NO, HIDDEN, NO, NO, NO),
    "/reader-studies/": (OK, OK, OK, NO, NO),
    "/reader-studies/new/{set}/": CUSTODIAN,
    "/reader-studies/{study}/": (OK, OK, ELSEWHERE, NO, NO),
    "/reader-studies/{study}/read/": (NO, NO, OK, NO, NO),
    "/decisions/": JUDGES,
    "/decisions/{decision}/": JUDGES,
    "/releases/": EVERYONE,
    "/releases/new/{set}/": CUSTODIAN,
    "/releases/{release}/": EVERYONE,
    "/releases/{release}/submit/": CUSTODIAN,
    "/releases/{release}/send/": CUSTODIAN,
    "/releases/{release}/open-review/": CUSTODIAN,
    "/releases/{release}/reopen/": CUSTODIAN,
    "/releases/{release}/withdraw/": CUSTODIAN,
    "/releases/{release}/vote/": OFFICER,
    "/releases/{release}/endorse/": OFFICER,
    "/releases/{release}/suspend/": OFFICER,
    "/releases/{release}/move/": OFFICER,
    "/releases/{release}/dance/": (HIDDEN,) * 5,
    "/access/catalogue/": EVERYONE,
    "/access/agreement/": (NO, NO, NO, OK, NO),
    "/access/requests/": (NO, OK, NO, OK, OK),
    "/access/requests/new/{release}/": (NO, NO, NO, OK, NO),
    "/access/requests/{request}/": (NO, OK, NO, OK, OK),
    "/access/requests/{request}/decide/": OFFICER,
    "/access/grants/{grant}/": (NO, OK, NO, OK, OK),
    "/access/grants/{grant}/renew/": OFFICER,
    "/access/grants/{grant}/revoke/": OFFICER,
    "/access/leaks/": OFFICER,
    "/ledger/": (NO, OK, NO, NO, OK),
    "/jobs/": OPERATOR,
    "/people/": OPERATOR,
}


@pytest.mark.parametrize("position", range(len(ROLES)), ids=ROLES)
def test_what_a_role_may_open(people, site, visit, position):
    person = getattr(people, ROLES[position])
    opened = {page: visit(person, page.format(**site)).status_code for page in PAGES}
    assert opened == {page: statuses[position] for page, statuses in PAGES.items()}


@pytest.mark.parametrize("position", range(len(ROLES)), ids=ROLES)
def test_no_page_carries_inline_style_or_script(people, site, visit, position):
    """The content policy would drop it silently; a page that needs it would look broken."""
    person = getattr(people, ROLES[position])
    for page, statuses in PAGES.items():
        if statuses[position] != OK:
            continue
        response = visit(person, page.format(**site))
        text = response.content.decode()
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), page
        assert "default-src 'none'" in response["Content-Security-Policy"], page
        assert "no-store" in response["Cache-Control"], page


def test_a_refusal_says_what_where_and_what_to_do(people, site, visit):
    text = visit(people.researcher, "/cohorts/").content.decode()
    assert "<strong>cohort:view</strong>: researcher is not allowed to do this" in text
    assert "this needs the role compliance_officer or custodian or operator" in text


def test_another_custodians_things_are_not_there(people, site, visit):
    from veilmark.accounts.services import person_create

    other = person_create(username="other", password=people.password, role="custodian")
    hidden = ("cohorts/{cohort}", "cohorts/contracts/{contract}", "training-runs/{run}", "synthetic-sets/{set}")
    for page in (*hidden, "audit-runs/{audit}", "audit-runs/{audit}/report", "decisions/{decision}"):
        assert visit(other, f"/{page}/".format(**site)).status_code == HIDDEN, page


@pytest.mark.parametrize("page", [page for page in PAGES if page != "/releases/{release}/dance/"])
def test_nobody_reads_without_signing_in(client, page):
    nothing = dict.fromkeys((field for _, field, _, _ in Formatter().parse(page) if field), UUID(int=0))
    response = client.get(page.format(**nothing))
    assert response.status_code == ELSEWHERE
    assert response["Location"].startswith("/accounts/sign-in/")
