"""The pages of decisions: the list, and one decision rule by rule."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render

from veilmark.accounts.pages import SignedInRequest, page
from veilmark.core.pages import find, page_of
from veilmark.decisions.selectors import decisions_visible

SHOWN_FIRST = ("FAIL", "UNKNOWN")


@page("audit:view")
def decision_list(request: SignedInRequest) -> HttpResponse:
    return render(request, "decisions/list.html", {"page": page_of(decisions_visible(request.user), request)})


@page("audit:view")
def decision_detail(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """What stands in the way comes first."""
    decision = find(decisions_visible(request.user), pk, what="decision")
    results = sorted(decision.body["results"], key=lambda row: row["outcome"] not in SHOWN_FIRST)
    return render(request, "decisions/detail.html", {"decision": decision, "results": results})
