"""The pages of cohorts: the list, the upload, and what the data contract found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.shortcuts import redirect, render

from veilmark.accounts.pages import FORM, SignedInRequest, page
from veilmark.accounts.permissions import allowed
from veilmark.cohorts.forms import EXAMPLE, CohortForm
from veilmark.cohorts.models import Cohort
from veilmark.cohorts.selectors import cohorts_visible, contract_results_visible
from veilmark.cohorts.services import ContractError, cohort_create, scratch_folder
from veilmark.core.pages import find, page_of, posted, refusals_on


@page("cohort:view")
def cohort_list(request: SignedInRequest) -> HttpResponse:
    context = {
        "page": page_of(cohorts_visible(request.user), request),
        "refused": contract_results_visible(request.user).filter(passed=False)[:10],
        "may_upload": allowed(request.user, "cohort:create"),
    }
    return render(request, "cohorts/list.html", context)


@page("cohort:create", methods=FORM)
def cohort_upload(request: SignedInRequest) -> HttpResponse:
    form = CohortForm(posted(request), request.FILES or None)
    if form.is_valid():
        with refusals_on(form):
            try:
                cohort = _take_in(request, form)
            except ContractError as refusal:
                messages.error(request, str(refusal))
                return redirect("cohorts:contract", pk=refusal.result.pk)
            messages.success(request, f"{cohort.name} is taken in: {cohort.n_images} images, encrypted.")
            return redirect("cohorts:contract", pk=cohort.contract.pk)
    context = {"form": form, "example": EXAMPLE}
    return render(request, "cohorts/upload.html", context, status=400 if form.errors else 200)


@page("cohort:view")
def contract(request: SignedInRequest, pk: UUID) -> HttpResponse:
    result = find(contract_results_visible(request.user), pk, what="contract result")
    return render(request, "cohorts/contract.html", {"result": result, "cohort": result.cohort})


def _take_in(request: SignedInRequest, form: CohortForm) -> Cohort:
    with _private_copy(form.cleaned_data["archive"]) as source:
        return cohort_create(
            source=source,
            mapping=form.mapping,
            terms=form.terms(),
            acting_user=request.user,
            progress=lambda _done, _total, _message: None,  # the answer to the upload is the result itself
        )


@contextmanager
def _private_copy(upload: UploadedFile) -> Iterator[Path]:
    """The upload as a file in this site's private scratch folder, gone after the block."""
    with TemporaryDirectory(dir=scratch_folder()) as folder:
        path = Path(folder) / "upload.zip"
        with path.open("wb") as stream:
            for part in upload.chunks():
                stream.write(part)
        yield path
