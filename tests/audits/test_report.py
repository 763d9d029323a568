"""Two forms of one report: the internal one holds what an investigator needs, the publishable one must not."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from html.parser import HTMLParser

import pytest

from audits.base import AuditInput, Measurement, Status
from audits.page import render_html
from audits.registry import run_audits
from audits.report import SCHEMA, Audience, AuditReport
from audits.verdicts import decide
from audits.wording import sentence, title
from audits.words import WORDS

CONTRACT = {
    *("name", "release_mode", "status", "value", "ci_low", "ci_high", "confidence_level", "n", "baseline"),
    *("positive_control", "negative_control", "unit", "method", "source"),
}


@pytest.fixture(scope="module")
def report(copier: AuditInput) -> AuditReport:
    return run_audits(copier)


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return {str(key) for key in value} | {key for inner in value.values() for key in _keys(inner)}
    if isinstance(value, list | tuple):
        return {key for inner in value for key in _keys(inner)}
    return set()


def test_every_measurement_has_the_fields_of_the_contract(report: AuditReport) -> None:
    body = report.to_json(Audience.PUBLISHABLE)
    assert body["schema"] == SCHEMA
    for measurement in body["measurements"]:  # type: ignore[attr-defined]
        assert set(measurement) >= CONTRACT
        assert measurement["status"] in {status.value for status in Status}


def test_every_number_of_both_forms_is_finite_json(report: AuditReport) -> None:
    for audience in Audience:
        assert json.loads(json.dumps(report.to_json(audience), allow_nan=False))["audience"] == audience.value


def test_a_report_names_its_inputs_by_digest(report: AuditReport, copier: AuditInput) -> None:
    assert report.inputs["synthetic"] == copier.synthetic.digest
    assert set(report.inputs) == {"train", "holdout", "control", "synthetic"}
    assert {"python", "numpy", "scikit-learn"} <= set(report.versions)


def test_the_internal_form_lists_the_flagged_images(report: AuditReport) -> None:
    body = report.to_json(Audience.INTERNAL)
    copies = next(m for m in body["measurements"] if m["name"] == "nearest_copies.copy_rate")  # type: ignore[attr-defined]
    assert len(copies["flags"]) > 300
    assert set(copies["flags"][0]) == {"index", "p_value", "detector"}


def test_the_publishable_form_holds_no_distance_no_index_no_person(report: AuditReport) -> None:
    body = report.to_json(Audience.PUBLISHABLE)
    secret = {key for m in report.measurements for key in m.internal} | {"internal", "flags", "index"}
    assert not secret & _keys(body)
    assert set(body["inputs"]) == {"synthetic"}  # type: ignore[call-overload]
    longest = max(
        (len(v) for m in body["measurements"] for v in m["details"].values() if isinstance(v, list)), default=0
    )  # type: ignore[attr-defined]
    assert longest < 20


def test_the_publishable_form_rounds_the_sizes_of_the_cohort(report: AuditReport) -> None:
    body = report.to_json(Audience.PUBLISHABLE)
    counts = [n for m in body["measurements"] for n in m["n"].values()]  # type: ignore[attr-defined]
    counts += [n for arm in body["n"].values() for n in arm.values()]  # type: ignore[attr-defined]
    assert all(n % 10 == 0 for n in counts)


class _Page(HTMLParser):
    """Collects tags, references and visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href"}]


@pytest.mark.parametrize("audience", list(Audience))
def test_the_page_is_self_contained(report: AuditReport, audience: Audience) -> None:
    """The sheet of flagged pairs is the one picture, held in the page itself and in the internal form alone."""
    html = render_html(report, audience)
    page = _Page()
    page.feed(html)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert page.tags.count("img") == html.count('src="data:image/png;base64,') == (audience is Audience.INTERNAL)
    assert [source for source in page.references if not source.startswith("data:")] == []
    assert "url(" not in html


def test_the_page_says_each_verdict_and_hides_distances_from_the_public(report: AuditReport) -> None:
    public, internal = (render_html(report, audience) for audience in (Audience.PUBLISHABLE, Audience.INTERNAL))
    for m in report.measurements:
        assert title(m) in public.replace("&#x27;", "'")
    assert "margin (log ratio)" in internal
    assert "margin (log ratio)" not in public
    assert "ROC" not in public
    assert report.inputs["train"] in internal
    assert report.inputs["train"] not in public


def test_text_from_the_data_is_escaped(report: AuditReport) -> None:
    first = replace(report.measurements[0], status=Status.NO_POWER, reason="<script>alert(1)</script>")
    hostile = replace(report, measurements=(first,), verdicts=decide([first]))
    assert "<script>" not in render_html(hostile, Audience.INTERNAL)


def test_every_measurement_has_words_of_its_own(report: AuditReport) -> None:
    for m in report.measurements:
        assert title(m) != m.name, f"{m.name} has no words"
        assert not re.search(r"\bnan\b|None|[{}]", sentence(m))


@pytest.mark.parametrize("status", [Status.NO_POWER, Status.NOT_ASSESSABLE])
@pytest.mark.parametrize("name", WORDS)
def test_an_audit_that_could_not_tell_never_reads_as_a_pass(name: str, status: Status) -> None:
    m = Measurement(name=name, status=status, unit="", method="", source="", reason="12 people")
    assert "not detected" not in sentence(m).lower()
    assert "12 people" in sentence(m)


def test_a_report_is_frozen(report: AuditReport) -> None:
    with pytest.raises(AttributeError):
        report.seed = 1  # type: ignore[misc]
    assert "measurements" in {field.name for field in fields(report)}
