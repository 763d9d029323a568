"""The pages of reader studies: opening one, reading blinded one image at a time, and what the readings say."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from veilmark.accounts.models import Role
from veilmark.accounts.pages import FORM, SignedInRequest, page
from veilmark.core.pages import find, page_of, posted, refusals_on
from veilmark.reader_studies.forms import ReadingForm, StudyForm
from veilmark.reader_studies.models import ReaderItem, ReaderStudy
from veilmark.reader_studies.selectors import next_item, studies_visible, study_result
from veilmark.reader_studies.services import item_png, reader_study_open, reading_record
from veilmark.synthetic_sets.selectors import synthetic_sets_visible


@page()
def study_list(request: SignedInRequest) -> HttpResponse:
    return render(
        request,
        "reader_studies/list.html",
        {"page": page_of(studies_visible(request.user).order_by("-created_at"), request)},
    )


@page("reading:create", methods=FORM)
def study_open(request: SignedInRequest, set_pk: UUID) -> HttpResponse:
    synthetic_set = find(synthetic_sets_visible(request.user), set_pk, what="synthetic set")
    form = StudyForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            study = reader_study_open(synthetic_set=synthetic_set, acting_user=request.user, **form.cleaned_data)
            messages.success(request, "The study is open to every clinician.")
            return redirect("reader_studies:detail", pk=study.pk)
    context = {
        "form": form,
        "heading": "Open a reader study",
        "intro": f"Clinicians judge images of {synthetic_set.public_id} among real ones, blinded, one at a time.",
        "submit": "Open the study",
        "cancel": reverse("synthetic_sets:detail", args=[synthetic_set.pk]),
    }
    return render(request, "core/form_page.html", context, status=400 if form.errors else 200)


@page()
def study_detail(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """Readers go on reading: what the others found is kept from them, so that they stay blinded."""
    study = _visible(request, pk)
    if request.user.role == Role.CLINICIAN:
        return redirect("reader_studies:read", pk=study.pk)
    return render(request, "reader_studies/result.html", {"study": study, "result": study_result(study)})


@page("reading:record", methods=FORM)
def study_read(request: SignedInRequest, pk: UUID) -> HttpResponse:
    study = _visible(request, pk)
    item = next_item(study, request.user)
    if item is None:
        return render(request, "reader_studies/finished.html", {"study": study})
    form = ReadingForm(posted(request), initial={"item": item.pk})
    if form.is_valid():
        with refusals_on(form):
            judged = find(study.items.all(), form.cleaned_data.pop("item"), what="image")
            reading_record(item=judged, acting_user=request.user, **form.cleaned_data)
            return redirect("reader_studies:read", pk=study.pk)
    n_read = study.items.filter(readings__reader=request.user).count()
    context = {"study": study, "item": item, "form": form, "n_read": n_read, "n_items": study.items.count()}
    return render(request, "reader_studies/read.html", context, status=400 if form.errors else 200)


@page("reading:record")
def item_image(request: SignedInRequest, pk: UUID) -> HttpResponse:
    """The bare pixels. Never cached, so that nothing real stays in a browser."""
    item = find(ReaderItem.objects.filter(study__in=studies_visible(request.user)), pk, what="image")
    return HttpResponse(item_png(item), content_type="image/png")


def _visible(request: SignedInRequest, pk: UUID) -> ReaderStudy:
    return find(studies_visible(request.user), pk, what="reader study")
