"""Audits read the bytes that would leave; what they found of real people stays inside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from audits.report import Audience
from veilmark.audit_runs.models import AuditRun
from veilmark.audit_runs.selectors import audit_runs_visible
from veilmark.audit_runs.services import audit_run_create, report_page
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.core.storage import file_store
from veilmark.synthetic_sets.selectors import set_folder

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def internal_report(run: AuditRun) -> dict[str, Any]:
    key = bytes(run.synthetic_set.training_run.cohort.wrapped_key)
    report: dict[str, Any] = json.loads(file_store().read(f"audit_runs/{run.pk}/internal.json", wrapped_key=key))
    return report


def floats_of(value: Any) -> set[float]:
    if isinstance(value, dict):
        return {number for part in value.values() for number in floats_of(part)}
    if isinstance(value, list):
        return {number for part in value for number in floats_of(part)}
    return {value} if isinstance(value, float) and value != round(value, 3) else set()


def test_the_report_is_of_these_files(walked):
    run = walked.audit_run
    assert run.content_root == walked.synthetic_set.content_root
    assert run.report_digest.startswith("sha256:")
    names = {row["name"].partition(".")[0] for row in run.report["measurements"]}
    assert names >= {"nearest_copies", "membership_inference", "train_on_synthetic", "group_gaps"}
    assert "weights_membership" not in names, "the weights are not released"
    for row in run.report["measurements"]:
        assert {"status", "value", "ci_low", "ci_high", "confidence_level", "n", "baseline"} <= set(row)


def test_the_generator_is_asked_for_its_rarest_people(walked):
    rows = {row["name"]: row for row in walked.audit_run.report["measurements"]}
    asked = rows["rare_cell_extraction.label"]
    assert asked["release_mode"] == "query"
    assert asked["status"] in ("not_detected", "no_power"), asked.get("reason")


def test_the_mark_has_a_row_for_each_change_and_one_for_real_images(walked):
    rows = {row["name"]: row for row in walked.audit_run.report["measurements"]}
    synthetic_set = walked.synthetic_set
    released = rows["mark_detection.as_released"]
    assert released["value"] == synthetic_set.n_mark_detected / synthetic_set.n_images
    marks = [name for name in rows if name.startswith("mark_detection.")]
    assert len(marks) == 1 + len(synthetic_set.mark_survival["attacks"])
    assert rows["mark_detection.real_images"]["value"] == 0


def test_the_publishable_form_says_less(walked):
    inside, outside = internal_report(walked.audit_run), walked.audit_run.report
    assert inside["audience"] == "internal"
    assert outside["audience"] == "publishable"
    assert len(json.dumps(outside)) < len(json.dumps(inside))
    kept_inside = [(row.get("internal"), row.get("flags")) for row in inside["measurements"]]
    assert any(figures for figures, _ in kept_inside)
    assert not [row for row in outside["measurements"] if {"internal", "flags"} & set(row)]
    distances = {number for number in floats_of([figures for figures, _ in kept_inside]) if abs(number) > 1e-9}
    assert not distances & floats_of(outside), "no exact distance of a person's image"


def test_the_internal_form_is_stored_encrypted(walked, var):
    for path in (var / "files" / "audit_runs" / str(walked.audit_run.pk)).iterdir():
        assert b"measurements" not in path.read_bytes()
    for audience in Audience:
        assert report_page(walked.audit_run, audience).lower().startswith("<!doctype html")


@pytest.fixture
def folder(walked: Any, tmp_path: Path) -> Iterator[Path]:
    """The set's folder, put back after the test."""
    path = set_folder(walked.synthetic_set)
    shutil.copytree(path, tmp_path / "kept")
    yield path
    shutil.rmtree(path)
    shutil.copytree(tmp_path / "kept", path)


def change_a_pixel(path: Path) -> None:
    with Image.open(path) as image:
        pixels, text = np.asarray(image).copy(), image.text
    pixels[0, 0] ^= 1
    chunks = PngImagePlugin.PngInfo()
    for key, value in text.items():
        chunks.add_itxt(key, value)
    Image.fromarray(pixels).save(path, pnginfo=chunks)


def drop_the_metadata(path: Path) -> None:
    with Image.open(path) as image:
        Image.fromarray(np.asarray(image)).save(path)


CHANGES = {
    "a pixel": (change_a_pixel, "files differ from those written; draw it anew"),
    "the metadata": (drop_the_metadata, ""),
    "a missing file": (Path.unlink, ".png"),
    "a cut file": (lambda path: path.write_bytes(path.read_bytes()[:50]), ".png"),
}


@pytest.mark.parametrize(("change", "line"), CHANGES.values(), ids=CHANGES.keys())
def test_files_that_changed_are_not_audited(walked, folder, run_jobs, change, line):
    change(min((folder / "images").glob("*.png")))
    run = audit_run_create(synthetic_set=walked.synthetic_set, acting_user=walked.people["custodian"])
    run_jobs()
    run.refresh_from_db()
    assert (run.state, run.report) == ("failed", {})
    assert line in run.error
    assert "internal error" not in run.error


def test_who_may_ask_and_see(walked):
    from veilmark.accounts.services import person_create

    other = person_create(username="other", password="a long enough passphrase", role="custodian")
    for person in (other, walked.people["clinician"], walked.people["researcher"]):
        with pytest.raises(NotAllowedError):
            audit_run_create(synthetic_set=walked.synthetic_set, acting_user=person)
    assert audit_runs_visible(other).count() == 0
    assert audit_runs_visible(walked.people["officer"]).count() == 1
    with pytest.raises(ApplicationError, match="seed: is -1"):
        audit_run_create(synthetic_set=walked.synthetic_set, acting_user=walked.people["officer"], seed=-1)


def test_a_set_that_is_not_done_is_not_audited(walked):
    walked.synthetic_set.state = "failed"
    with pytest.raises(StateError, match="is failed; wait until it is done"):
        audit_run_create(synthetic_set=walked.synthetic_set, acting_user=walked.people["custodian"])


def test_there_is_no_page_before_the_end(walked):
    run = audit_run_create(synthetic_set=walked.synthetic_set, acting_user=walked.people["custodian"])
    with pytest.raises(StateError, match="is enqueued"):
        report_page(run, Audience.PUBLISHABLE)
