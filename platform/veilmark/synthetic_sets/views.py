"""The pages of synthetic sets: the list, the order, and the set with its contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from veilmark.accounts.models import Role
from veilmark.accounts.pages import FORM, SignedInRequest, page
from veilmark.accounts.permissions import allowed
from veilmark.core.errors import NotAllowedError, StateError
from veilmark.core.pages import find, page_of, posted, refusals_on
from veilmark.synthetic_sets.final_files import contact_sheet
from veilmark.synthetic_sets.forms import SampleForm
from veilmark.synthetic_sets.models import SyntheticSet
from veilmark.synthetic_sets.selectors import synthetic_sets_visible
from veilmark.synthetic_sets.services import synthetic_set_create
from veilmark.training_runs.selectors import training_runs_visible


@page("synthetic_set:view")
def set_list(request: SignedInRequest) -> HttpResponse:
    return render(request, "synthetic_sets/list.html", {"page": page_of(synthetic_sets_visible(request.user), request)})


@page("synthetic_set:create", methods=FORM)
def set_start(request: SignedInRequest, run_pk: UUID) -> HttpResponse:
    run = find(training_runs_visible(request.user), run_pk, what="training run")
    form = SampleForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            synthetic_set = synthetic_set_create(
                training_run=run,
                acting_user=request.user,
                n_images=form.cleaned_data["n_images"],
                cells=form.cells(),
                seed=form.cleaned_data["seed"],
                visible_label=form.label(),
            )
            messages.success(request, "The images are being drawn, marked and written.")
            return redirect("synthetic_sets:detail", pk=synthetic_set.pk)
    context = {
        "form": form,
        "heading": "Sample synthetic images",
        "intro": f"From {run}. Sampling costs no privacy: the generator is already noised.",
        "submit": "Sample",
        "cancel": reverse("training_runs:detail", args=[run.pk]),
    }
    return render(request, "core/form_page.html", context, status=400 if form.errors else 200)


@page("synthetic_set:view")
def set_detail(request: SignedInRequest, pk: UUID) -> HttpResponse:
    synthetic_set = _visible(request, pk)
    context = {
        "set": synthetic_set,
        "job": synthetic_set.job,
        "totals": totals(synthetic_set.counts),
        "may_audit": synthetic_set.is_done and allowed(request.user, "audit:run"),
        "may_release": synthetic_set.is_done and allowed(request.user, "release:create"),
        "may_see_audits": allowed(request.user, "audit:view"),
    }
    return render(request, "synthetic_sets/detail.html", context)


@page("synthetic_set:view")
def set_preview(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """The contact sheet: synthetic images alone. Readers who saw it could tell them from real ones ever after."""
    synthetic_set = _visible(request, pk)
    if request.user.role == Role.CLINICIAN:
        raise NotAllowedError("is kept from readers", where="contact sheet", remedy="read the study, blinded")
    if not synthetic_set.is_done:
        raise StateError(f"is {synthetic_set.state}", where=str(synthetic_set), remedy="wait until it is done")
    return HttpResponse(contact_sheet(synthetic_set), content_type="image/png")


def totals(cells: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, int]]]]:
    """Images per value of each column that the cells condition on: (column, [(value, images)])."""
    cells = list(cells)
    table = []
    for column, heading in (("label", "Label"), ("sex", "Sex"), ("age_group", "Age group")):
        counts: Counter[str] = Counter()
        for cell in cells:
            counts[cell[column]] += cell["n"]
        if set(counts) - {""}:
            table.append((heading, sorted(counts.items())))
    return table


def _visible(request: SignedInRequest, pk: UUID) -> SyntheticSet:
    return find(synthetic_sets_visible(request.user), pk, what="synthetic set")
