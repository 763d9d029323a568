"""One cohort on its way through the pages, in a real browser, its jobs run by the code that a worker runs."""

import io
import zipfile

import pytest
from playwright.sync_api import expect

from generators.phantoms import write_phantom_cohort

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning"),
]
N_READ = 4


@pytest.fixture
def archive(tmp_path):
    write_phantom_cohort(tmp_path, n_subjects=60, size=32, seed=5, max_images=1)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name in ("images.npz", "metadata.csv"):
            packed.write(tmp_path / name, name)
    mapping = {"name": "mapping.toml", "mimeType": "text/plain", "buffer": (tmp_path / "mapping.toml").read_bytes()}
    return {"name": "ward.zip", "mimeType": "application/zip", "buffer": buffer.getvalue()}, mapping


def upload(page, archive):
    page.get_by_role("link", name="Upload a cohort").click()
    page.get_by_label("Name").fill("ward 7")
    page.get_by_label("Images and table (zip)").set_input_files(archive[0])
    page.get_by_label("Mapping (TOML file)").set_input_files(archive[1])
    page.get_by_label("Declared number of subjects").fill("60")
    page.get_by_role("button", name="Check and take in").click()
    expect(page.get_by_text("The cohort meets its contract")).to_be_visible()


def train(page, run_jobs):
    """The bar moves by itself: the browser asks for it while the job runs, and loads the page anew at the end."""
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/progress") else None)
    page.get_by_role("link", name="Open the cohort").click()
    page.get_by_role("link", name="Train a generator").first.click()
    page.get_by_label("Image size in pixels").fill("32")
    page.get_by_role("button", name="Start training").click()
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_have_attribute("value", "0")
    run_jobs()
    expect(bar).to_have_attribute("value", "100")
    expect(page.get_by_text("spent per subject")).to_be_visible()
    assert asked


def sample(page, run_jobs):
    page.get_by_role("link", name="Sample images").click()
    page.get_by_label("Number of images").fill("24")
    page.get_by_role("button", name="Sample").click()
    run_jobs()
    sheet = page.get_by_role("img", name="Contact sheet")
    expect(sheet).to_be_visible()
    assert sheet.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100


def read(page):
    """Every image by keys alone."""
    page.get_by_role("link", name="Start reading").click()
    for position in range(1, N_READ + 1):
        expect(page.get_by_role("heading", name=f"Image {position} of {N_READ}")).to_be_visible()
        assert page.locator(".plate img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
        page.keyboard.press("s")
        page.keyboard.press("4")
        page.keyboard.press("Enter")
    expect(page.get_by_text("You have judged every image")).to_be_visible()


def submit(page, run_jobs):
    """Too few people for the profile: refused, with every rule's reason."""
    page.get_by_role("link", name="Draft a release").click()
    page.get_by_label("Name").fill("ward-7")
    page.get_by_label("Title").fill("Ward seven")
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_role("button", name="Submit for audit").click()
    run_jobs()
    expect(page.get_by_role("button", name="Reopen as a draft")).to_be_visible()
    page.get_by_role("link", name="what was measured").click()
    page.get_by_role("link", name="Open the report with plots").click()
    expect(page.get_by_role("heading", name="Audit of a synthetic image set")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") != "none"  # its style was let in
    page.go_back()
    page.get_by_role("link", name="internal, endorsement").click()
    expect(page.get_by_text("add subjects to the cohort")).to_be_visible()


def test_from_upload_to_decision(sign_in, archive, run_jobs):
    custodian = sign_in("custodian")
    upload(custodian, archive)
    train(custodian, run_jobs)
    sample(custodian, run_jobs)
    synthetic_set = custodian.url
    custodian.get_by_role("link", name="Open a reader study").click()
    custodian.get_by_label("Number of images").fill(str(N_READ))
    custodian.get_by_role("button", name="Open the study").click()
    study = custodian.url
    read(sign_in("clinician"))
    custodian.goto(study)
    expect(custodian.get_by_text("0.50", exact=True)).to_be_visible()
    custodian.goto(synthetic_set)
    submit(custodian, run_jobs)
