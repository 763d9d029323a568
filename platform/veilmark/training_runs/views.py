"""The pages of training runs: the list, the start, and the run as it goes."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from veilmark.accounts.pages import FORM, SignedInRequest, page
from veilmark.accounts.permissions import allowed
from veilmark.cohorts.selectors import cohorts_visible
from veilmark.core.pages import find, page_of, posted, refusals_on
from veilmark.training_runs.forms import TrainingForm
from veilmark.training_runs.recorder import cohort_spend
from veilmark.training_runs.selectors import training_runs_visible
from veilmark.training_runs.services import training_run_start


@page("cohort:view")
def run_list(request: SignedInRequest) -> HttpResponse:
    return render(request, "training_runs/list.html", {"page": page_of(training_runs_visible(request.user), request)})


@page("generator:train", methods=FORM)
def run_start(request: SignedInRequest, cohort_pk: UUID) -> HttpResponse:
    cohort = find(cohorts_visible(request.user), cohort_pk, what="cohort")
    form = TrainingForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            run = training_run_start(cohort=cohort, plan=form.plan(), acting_user=request.user)
            messages.success(request, "The run is enqueued. Its spend is reserved before it sees an image.")
            return redirect("training_runs:detail", pk=run.pk)
    context = {"form": form, "cohort": cohort, "spend": cohort_spend(cohort)}
    return render(request, "training_runs/start.html", context, status=400 if form.errors else 200)


@page("cohort:view")
def run_detail(request: SignedInRequest, pk: UUID) -> HttpResponse:
    run = find(training_runs_visible(request.user), pk, what="training run")
    context = {
        "run": run,
        "job": run.job,
        "may_sample": run.is_done and allowed(request.user, "synthetic_set:create"),
        "may_see_sets": allowed(request.user, "synthetic_set:view"),
    }
    return render(request, "training_runs/detail.html", context)
