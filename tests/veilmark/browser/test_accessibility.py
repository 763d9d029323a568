"""axe on the pages of every role: nothing serious, nothing critical; and nothing scrolls sideways on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = {
    "custodian": [
        "/",
        "/cohorts/",
        "/cohorts/new/",
        "/cohorts/contracts/{refused}/",
        "/cohorts/{cohort}/",
        "/training-runs/new/{cohort}/",
        "/training-runs/{run}/",
        "/audit-runs/{audit}/",
        "/releases/new/{set}/",
    ],
    "officer": [
        "/",
        "/audit-runs/{audit}/",
        "/audit-runs/{audit}/copies/",
        "/decisions/{decision}/",
        "/releases/{release}/",
        "/releases/{release}/endorse/",
        "/access/requests/{request}/",
        "/access/leaks/",
        "/ledger/",
    ],
    "clinician": ["/", "/reader-studies/", "/releases/"],
    "researcher": [
        "/",
        "/access/catalogue/",
        "/access/agreement/",
        "/access/requests/new/{release}/",
        "/access/grants/{grant}/",
    ],
    "operator": ["/", "/jobs/", "/people/"],
}


def violations(page):
    """Rule and element of what is serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        (rule["id"], node["target"])
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("role", PAGES)
def test_everybody_can_use_the_pages(sign_in, site, role):
    page = sign_in(role, bypass_csp=True, viewport={"width": 1280, "height": 800}, color_scheme="light")
    for address in PAGES[role]:
        page.goto(address.format(**site))
        assert violations(page) == [], address


@pytest.mark.parametrize("role", PAGES)
def test_a_phone_in_the_dark_will_do(sign_in, site, role):
    page = sign_in(role, bypass_csp=True, viewport={"width": 390, "height": 800}, color_scheme="dark")
    assert violations(page) == []
    for address in PAGES[role]:
        page.goto(address.format(**site))
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"{address} scrolls sideways by {overflow} px"
