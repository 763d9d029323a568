"""The pages of audit runs: what was measured in one line each, and the whole report at an address of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any
from uuid import UUID

from csp.constants import NONE
from csp.decorators import csp_replace
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from audits.base import Measurement, Status
from audits.page import CLEAR, FAMILIES, FINDING, LABELS
from audits.wording import figure, in_percent, sentence, title
from veilmark.accounts.pages import CHANGE, SignedInRequest, page
from veilmark.audit_runs.models import AuditRun
from veilmark.audit_runs.selectors import audit_runs_visible, copy_state, may_review
from veilmark.audit_runs.services import audit_run_create, internal_page_show
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
        "families": _families(run.report.get("measurements", [])),
        "claim": run.report.get("claim", ""),
        "copies": copy_state([run]) if run.is_done else None,
        "may_review": may_review(run, request.user),
    }
    return render(request, "audit_runs/detail.html", context)


@page("audit:view")
@csp_replace(REPORT_POLICY)  # type: ignore[arg-type] # its annotation forgets what an address carries
def run_report(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """The internal form: it stays on site."""
    return HttpResponse(internal_page_show(run=_visible(request, pk), acting_user=request.user))


def _families(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The measurements of a stored report as people read them, under the question that each family answers."""
    found = [_measurement(row) for row in rows]
    return [
        {"name": name, "question": question, "lines": [_line(name, m) for m in found if m.name.startswith(prefixes)]}
        for name, (question, prefixes) in FAMILIES.items()
    ]


def _measurement(row: Mapping[str, Any]) -> Measurement:
    known = {field.name for field in fields(Measurement)}
    return Measurement(**{name: row[name] for name in known & row.keys()} | {"status": Status(row["status"])})


def _line(family: str, m: Measurement) -> dict[str, str]:
    percent = in_percent(m)
    ends = (m.ci_low, m.ci_high)
    words = {Status.DETECTED: FINDING, Status.NOT_DETECTED: CLEAR}.get(m.status, {})
    return {
        "title": title(m),
        "sentence": sentence(m),
        # A leak is worse than a shortfall: only privacy's findings are drawn as failures.
        "tone": "warn" if m.status is Status.DETECTED and family != "Privacy" else m.status.value,
        "found": words.get(family, LABELS[m.status]),
        "value": figure(m.value, percent=percent),
        "interval": " to ".join(figure(end, percent=percent) for end in ends) if None not in ends else "-",
        "baseline": figure(m.baseline, percent=percent),
        "n": ", ".join(f"{n} {arm.replace('_', ' ')}" for arm, n in m.n.items()) or "-",
    }


def _visible(request: SignedInRequest, pk: UUID) -> AuditRun:
    return find(audit_runs_visible(request.user), pk, what="audit run")
