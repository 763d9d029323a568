"""The operator's pages: ledger, jobs, people. Officers read the ledger too."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from veilmark.accounts.models import User
from veilmark.accounts.pages import CHANGE, FORM, SignedInRequest, page
from veilmark.core.pages import find, page_of
from veilmark.jobs.models import Job
from veilmark.jobs.services import job_cancel
from veilmark.ledger.models import Event
from veilmark.ledger.verify import ledger_verify


@page("ledger:view", methods=FORM)
def ledger(request: SignedInRequest) -> HttpResponse:
    """The events, newest first. POST walks the whole chain and says what it found; it changes nothing."""
    context = {
        "page": page_of(Event.objects.select_related("actor").order_by("-sequence"), request),
        "verification": ledger_verify() if request.method == "POST" else None,
    }
    return render(request, "dashboards/ledger.html", context)


@page("jobs:cancel")
def jobs(request: SignedInRequest) -> HttpResponse:
    rows = page_of(Job.objects.select_related("created_by"), request)
    return render(request, "dashboards/jobs.html", {"page": rows})


@page("jobs:cancel", methods=CHANGE)
def cancel(request: SignedInRequest, pk: UUID) -> HttpResponse:
    job_cancel(job=find(Job.objects.all(), pk, what="job"), acting_user=request.user)
    messages.success(request, "The job is cancelled: it stops where it next reports.")
    return redirect("dashboards:jobs")


@page("person:create")
def people(request: SignedInRequest) -> HttpResponse:
    return render(request, "dashboards/people.html", {"page": page_of(User.objects.all(), request)})
