"""One first page a role, and the page of a cohort, which gathers what later stages made of it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render

from veilmark.accounts.pages import SignedInRequest, page
from veilmark.accounts.permissions import allowed
from veilmark.cohorts.selectors import cohorts_visible
from veilmark.core.errors import NotAllowedError
from veilmark.core.pages import find
from veilmark.dashboards.workspaces import WORKSPACES
from veilmark.training_runs.recorder import cohort_spend
from veilmark.training_runs.selectors import training_runs_visible


@page()
def home(request: SignedInRequest) -> HttpResponse:
    role = request.user.role
    if role not in WORKSPACES:
        raise NotAllowedError("has no role", where=request.user.get_username(), remedy="ask an operator for one")
    return render(request, f"dashboards/{role}.html", WORKSPACES[role](request.user))


@page("cohort:view")
def cohort_detail(request: SignedInRequest, pk: UUID) -> HttpResponse:
    cohort = find(cohorts_visible(request.user), pk, what="cohort")
    context = {
        "cohort": cohort,
        "spend": cohort_spend(cohort),
        "runs": training_runs_visible(request.user).filter(cohort=cohort),
        "may_train": allowed(request.user, "generator:train"),
    }
    return render(request, "dashboards/cohort.html", context)
