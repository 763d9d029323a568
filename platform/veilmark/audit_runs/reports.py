"""The forms of a report as they are stored: encrypted under the key of the cohort whose images they speak of."""

from __future__ import annotations

import json
from typing import Any

from audits.page import render_html
from audits.report import Audience, AuditReport
from veilmark.audit_runs.models import AuditRun
from veilmark.cohorts.models import Cohort
from veilmark.core.storage import file_store

INTERNAL = "internal.json"


def report_store(run: AuditRun, report: AuditReport) -> None:
    """The internal form, and a page for each audience."""
    key = _key(run)
    internal = json.dumps(report.to_json(Audience.INTERNAL), sort_keys=True)
    file_store().put(_name(run, INTERNAL), internal.encode(), wrapped_key=key)
    for audience in Audience:
        page = render_html(report, audience)
        file_store().put(_name(run, f"{audience.value}.html"), page.encode(), wrapped_key=key)


def internal_report(run: AuditRun) -> dict[str, Any]:
    """The internal form: it never leaves the site. Raises NotFoundError, CryptoError."""
    report: dict[str, Any] = json.loads(file_store().read(_name(run, INTERNAL), wrapped_key=_key(run)))
    return report


def stored_page(run: AuditRun, audience: Audience) -> str:
    """The report as one self-contained page."""
    return file_store().read(_name(run, f"{audience.value}.html"), wrapped_key=_key(run)).decode()


def _name(run: AuditRun, name: str) -> str:
    return f"audit_runs/{run.pk}/{name}"


def _key(run: AuditRun) -> bytes:
    cohort: Cohort = run.synthetic_set.training_run.cohort
    return bytes(cohort.wrapped_key)
