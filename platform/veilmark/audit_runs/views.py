"""The pages of audit runs: what was measured in one line each, and the whole report at an address of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from uuid import UUID

from csp.constants import NONE
from csp.decorators import csp_replace
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from audits.base import Measurement, Status
from audits.report import Audience
from audits.wording import figure, in_percent, sentence, title
from veilmark.accounts.pages import CHANGE, SignedInRequest, page
from veilmark.audit_runs.models import AuditRun
from veilmark.audit_runs.selectors import audit_runs_visible
from veilmark.audit_runs.services import audit_run_create, report_page
from veilmark.core.pages import find, page_of
from veilmark.synthetic_sets.selectors import synthetic_sets_visible

# The report is one self-contained page with inline style and SVG: this one address allows that, and still no script.
REPORT_POLICY = {
    "default-src": [NONE],
    "style-src": ["'unsafe-inline'"],
    "img-src": ["data:"],
    "script-src": [NONE],
    "frame-ancestors": [NONE],
}


@page("audit:view")
def run_list(request: SignedInRequest) -> HttpResponse:
    return render(request, "audit_runs/list.html", {"page": page_of(audit_runs_visible(request.user), request)})


@page("audit:run", methods=CHANGE)
def run_start(request: SignedInRequest, set_pk: UUID) -> HttpResponse:
    synthetic_set = find(synthetic_sets_visible(request.user), set_pk, what="synthetic set")
    run = audit_run_create(synthetic_set=synthetic_set, acting_user=request.user)
    messages.success(request, "The audits are enqueued.")
    return redirect("audit_runs:detail", pk=run.pk)


@page("audit:view")
def run_detail(request: SignedInRequest, pk: UUID) -> HttpResponse:
    run = _visible(request, pk)
    context = {
        "run": run,
        "job": run.job,
        "measurements": [_line(row) for row in run.report.get("measurements", [])],
        "claim": run.report.get("claim", ""),
    }
    return render(request, "audit_runs/detail.html", context)


@csp_replace(REPORT_POLICY)
@page("audit:view")
def run_report(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """The internal form: it stays on site."""
    return HttpResponse(report_page(_visible(request, pk), Audience.INTERNAL))


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    """A measurement of a stored report as people read it."""
    known = {field.name for field in fields(Measurement)}
    m = Measurement(**{name: row[name] for name in known & row.keys()} | {"status": Status(row["status"])})
    percent = in_percent(m)
    has_interval = m.ci_low is not None and m.ci_high is not None
    return {
        "title": title(m),
        "sentence": sentence(m),
        "status": m.status.value,
        "status_text": m.status.value.replace("_", " "),
        "value": figure(m.value, percent=percent),
        "interval": f"{figure(m.ci_low, percent=percent)} to {figure(m.ci_high, percent=percent)}"
        if has_interval
        else "-",
        "baseline": figure(m.baseline, percent=percent),
        "n": ", ".join(f"{n} {arm.replace('_', ' ')}" for arm, n in m.n.items()),
    }


def _visible(request: SignedInRequest, pk: UUID) -> AuditRun:
    return find(audit_runs_visible(request.user), pk, what="audit run")
