"""Officers look at flagged pairs in a browser: without scripts, on a desk and on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SCREENS = {"desk": (1280, "light"), "phone": (390, "dark")}


def serious(page):
    found = Axe().run(page).response["violations"]
    return [(rule["id"], rule["nodes"][0]["target"]) for rule in found if rule["impact"] in ("serious", "critical")]


def test_every_pair_is_answered_without_scripts(sign_in, flagged):
    page = sign_in("officer", java_script_enabled=False)
    page.get_by_role("link", name="Look at the pairs").click()
    page.get_by_role("link", name="Look at pair 1").click()
    for number in (1, 2, 3):
        expect(page.get_by_role("heading", name=f"Pair {number} of 3")).to_be_visible()
        page.get_by_label("not a copy").check()
        page.get_by_label("Reason").fill("another rib cage")
        page.get_by_role("button", name="Record the answer").click()
        expect(page.get_by_text(f"Pair {number}: recorded as “not a copy”.")).to_be_visible()
    expect(page.get_by_role("link", name="Look at pair")).to_have_count(0)
    assert flagged.copy_reviews.count() == 3


def test_a_pair_is_answered_by_keys_alone(sign_in, flagged):
    page = sign_in("officer")
    page.goto(f"/audit-runs/{flagged.pk}/copies/1/")
    page.get_by_role("link", name="Next pair").focus()
    for key in ("Tab", "Tab", "ArrowDown", "Tab"):
        page.keyboard.press(key)
    page.keyboard.type("another rib cage")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Pair 1: recorded as “not a copy”.")).to_be_visible()
    expect(page.get_by_role("heading", name="Pair 2 of 3")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), SCREENS.values(), ids=SCREENS.keys())
def test_the_pages_fit_and_everybody_can_use_them(sign_in, flagged, width, scheme):
    page = sign_in("officer", bypass_csp=True, viewport={"width": width, "height": 800}, color_scheme=scheme)
    for address in ("", "copies/", "copies/1/"):
        page.goto(f"/audit-runs/{flagged.pk}/{address}") if address else page.goto("/")
        assert serious(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, address
    image = page.get_by_role("img", name="Left: the synthetic image")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64 + 4 + 64
    assert image.bounding_box()["width"] > 0.7 * min(width, 700)
