"""The pages of access: catalogue, agreement, requests and their decisions, grants."""

from __future__ import annotations

import re
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from veilmark.access import agreement
from veilmark.access.copies import copy_require
from veilmark.access.forms import DecideForm, LeakForm, RenewForm, RequestForm, RevokeForm
from veilmark.access.leaks import leak_examine
from veilmark.access.models import AccessRequest, RequestState
from veilmark.access.selectors import grants_visible, has_accepted, is_open, recall_of, requests_visible
from veilmark.access.services import (
    agreement_accept,
    grant_renew,
    grant_revoke,
    permitted_purposes,
    request_create,
    request_decide,
)
from veilmark.accounts.pages import CHANGE, FORM, SignedInRequest, page
from veilmark.accounts.permissions import allowed
from veilmark.core.pages import find, page_of, posted, refusals_on
from veilmark.releases.selectors import releases_visible
from veilmark.releases.states import ReleaseState


@page("release:view")
def catalogue(request: SignedInRequest) -> HttpResponse:
    released = releases_visible(request.user).filter(state=ReleaseState.RELEASED)
    return render(request, "access/catalogue.html", {"page": page_of(released, request)})


@page("agreement:accept", methods=FORM)
def agreement_page(request: SignedInRequest) -> HttpResponse:
    if request.method == "POST":
        agreement_accept(acting_user=request.user)
        messages.success(request, "You have accepted the agreement.")
        return redirect("access:catalogue")
    clauses = re.split(r"\n(?=\d+\. )", agreement.TEXT)
    context = {"agreement": agreement, "clauses": clauses, "accepted": has_accepted(request.user)}
    return render(request, "access/agreement.html", context)


@page("request:create", methods=FORM)
def request_form(request: SignedInRequest, release_pk: UUID) -> HttpResponse:
    release = find(releases_visible(request.user), release_pk, what="release")
    if not has_accepted(request.user):
        messages.warning(request, "Accept the agreement first, then request access.")
        return redirect("access:agreement")
    form = RequestForm(posted(request), purposes=permitted_purposes(release))
    if form.is_valid():
        with refusals_on(form):
            made = request_create(release=release, acting_user=request.user, **form.cleaned_data)
            messages.success(request, "Your request is with the compliance officers.")
            return redirect("access:request_detail", pk=made.pk)
    context = {
        "form": form,
        "heading": f"Request access to {release.title}",
        "submit": "Send the request",
        "cancel": reverse("releases:detail", args=[release.pk]),
    }
    return render(request, "core/form_page.html", context, status=400 if form.errors else 200)


@page()
def request_list(request: SignedInRequest) -> HttpResponse:
    return render(request, "access/requests.html", {"page": page_of(requests_visible(request.user), request)})


@page()
def request_detail(request: SignedInRequest, pk: UUID) -> HttpResponse:
    return _request_page(request, find(requests_visible(request.user), pk, what="request"))


@page("request:decide", methods=FORM)
def request_decision(request: SignedInRequest, pk: UUID) -> HttpResponse:
    access_request = find(requests_visible(request.user), pk, what="request")
    form = DecideForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            request_decide(request=access_request, acting_user=request.user, **form.cleaned_data)
            messages.success(request, "Your decision is recorded.")
            return redirect("access:request_detail", pk=access_request.pk)
    return _request_page(request, access_request, form)


def _request_page(
    request: SignedInRequest, access_request: AccessRequest, form: DecideForm | None = None
) -> HttpResponse:
    """The request; for an officer who may still decide on it, with the form."""
    may_decide = allowed(request.user, "request:decide") and access_request.state == RequestState.SUBMITTED
    context = {"access_request": access_request, "form": form or (DecideForm() if may_decide else None)}
    return render(request, "access/request.html", context, status=400 if form and form.errors else 200)


@page()
def grant_detail(request: SignedInRequest, pk: UUID) -> HttpResponse:
    grant = find(grants_visible(request.user), pk, what="grant")
    context = {
        "grant": grant,
        "release": grant.request.release,
        "copy": getattr(grant, "copy", None),
        "is_open": is_open(grant) and grant.request.release.state == ReleaseState.RELEASED,
        "recalled": recall_of(grant.request.release),
        "may_revoke": allowed(request.user, "request:decide") and is_open(grant),
        "may_renew": allowed(request.user, "request:decide") and not grant.revoked_at,
        "site": request.build_absolute_uri("/").rstrip("/"),
    }
    return render(request, "access/grant.html", context)


@page("download", methods=CHANGE)
def grant_preparation(request: SignedInRequest, pk: UUID) -> HttpResponse:
    grant = find(grants_visible(request.user), pk, what="grant")
    copy_require(grant=grant, acting_user=request.user)
    messages.success(request, "Your copy is being prepared.")
    return redirect("access:grant", pk=grant.pk)


@page("leak:examine", methods=FORM)
def leaks(request: SignedInRequest) -> HttpResponse:
    form = LeakForm(posted(request), request.FILES or None)
    inquiry = None
    if form.is_valid():
        with refusals_on(form):
            files = [(file.name or "image", file.read()) for file in form.cleaned_data["images"]]
            inquiry = leak_examine(files=files, acting_user=request.user)
    context = {
        "form": form,
        "heading": "Examine a leak",
        "intro": "Whose copy did these images come from? Every question is recorded in the ledger.",
        "submit": "Examine",
        "inquiry": inquiry,
    }
    return render(request, "access/leaks.html", context, status=400 if form.errors else 200)


@page("request:decide", methods=FORM)
def grant_renewal(request: SignedInRequest, pk: UUID) -> HttpResponse:
    grant = find(grants_visible(request.user), pk, what="grant")
    form = RenewForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            grant_renew(grant=grant, acting_user=request.user, **form.cleaned_data)
            messages.success(request, "The grant lasts longer.")
            return redirect("access:grant", pk=grant.pk)
    context = {
        "form": form,
        "heading": "Renew a grant",
        "intro": f"{grant.request.researcher} may download {grant.request.release.title} for longer.",
        "submit": "Renew",
        "cancel": reverse("access:grant", args=[grant.pk]),
    }
    return render(request, "core/form_page.html", context, status=400 if form.errors else 200)


@page("request:decide", methods=FORM)
def grant_revocation(request: SignedInRequest, pk: UUID) -> HttpResponse:
    grant = find(grants_visible(request.user), pk, what="grant")
    form = RevokeForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            grant_revoke(grant=grant, acting_user=request.user, **form.cleaned_data)
            messages.success(request, "The grant has ended.")
            return redirect("access:grant", pk=grant.pk)
    context = {
        "form": form,
        "heading": "Revoke a grant",
        "intro": f"{grant.request.researcher} can no longer download {grant.request.release.title}.",
        "submit": "Revoke",
        "danger": True,
        "cancel": reverse("access:grant", args=[grant.pk]),
    }
    return render(request, "core/form_page.html", context, status=400 if form.errors else 200)
