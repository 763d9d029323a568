"""The pages of releases: the list, the draft, the release with its line of states, and each step's form."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from veilmark.accounts.models import Role
from veilmark.accounts.pages import FORM, SignedInRequest, page
from veilmark.accounts.permissions import allowed, require
from veilmark.audit_runs.selectors import set_copy_state
from veilmark.core.errors import NotFoundError
from veilmark.core.pages import find, page_of, posted, refusals_on
from veilmark.ledger.selectors import events_of
from veilmark.releases.actions import Action, action_named, actions_for
from veilmark.releases.forms import DraftForm, EndorseForm
from veilmark.releases.models import Release
from veilmark.releases.selectors import interest_of, releases_visible, reviews_visible
from veilmark.releases.services import ReleaseDraft, release_create
from veilmark.releases.stepper import moves_from, steps_of
from veilmark.synthetic_sets.selectors import synthetic_sets_visible

SEES_HISTORY = (Role.COMPLIANCE_OFFICER, Role.OPERATOR)


@page("release:view")
def release_list(request: SignedInRequest) -> HttpResponse:
    return render(request, "releases/list.html", {"page": page_of(releases_visible(request.user), request)})


@page("release:create", methods=FORM)
def release_draft(request: SignedInRequest, set_pk: UUID) -> HttpResponse:
    synthetic_set = find(synthetic_sets_visible(request.user), set_pk, what="synthetic set")
    form = DraftForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            draft = ReleaseDraft(**form.cleaned_data)
            release = release_create(synthetic_set=synthetic_set, draft=draft, acting_user=request.user)
            messages.success(request, "The draft is there. Submit it when you are ready.")
            return redirect("releases:detail", pk=release.pk)
    context = {
        "form": form,
        "heading": "Draft a release",
        "intro": f"Of synthetic set {synthetic_set.public_id}. Nothing leaves before two officers have signed.",
        "submit": "Save the draft",
        "cancel": reverse("synthetic_sets:detail", args=[synthetic_set.pk]),
    }
    return render(request, "core/form_page.html", context, status=400 if form.errors else 200)


@page("release:view")
def release_detail(request: SignedInRequest, pk: UUID) -> HttpResponse:
    release, user = _visible(request, pk), request.user
    sees_inside = user.role in SEES_HISTORY or release.custodian_id == user.pk
    sees_decision = sees_inside and allowed(user, "audit:view")
    history = list(events_of(release)) if sees_inside else []
    previous = next((event.payload["from"] for event in reversed(history) if "from" in event.payload), "")
    actions = actions_for(release, user)
    context = {
        "release": release,
        "job": release.job if sees_inside else None,
        "steps": steps_of(release.state, previous),
        "onward": moves_from(release.state),
        "next_steps": [action for action in actions if action.is_next],
        "others": [action for action in actions if not action.is_next],
        "interest": interest_of(release, user) if allowed(user, "release:endorse") else "",
        "history": history,
        "sees_inside": sees_inside,
        "sees_decision": sees_decision,
        "copies": set_copy_state(release.synthetic_set) if sees_decision else None,
    }
    if sees_inside:
        context |= _signatures(release, request)
    return render(request, "releases/detail.html", context)


@page("release:view", methods=FORM)
def release_act(request: SignedInRequest, pk: UUID, slug: str) -> HttpResponse:
    """One step of the table in `actions.py`: its form, or the doing of it."""
    release, action = _visible(request, pk), action_named(slug)
    require(request.user, action.permission)
    form = action.form(posted(request), initial=_initial(action, release))
    if form.is_valid():
        with refusals_on(form):
            action.service(release=release, acting_user=request.user, **form.cleaned_data)
            messages.success(request, f"{action.label}: done.")
            return redirect("releases:detail", pk=release.pk)
    context = {
        "release": release,
        "action": action,
        "form": form,
        "heading": action.label,
        "intro": action.explanation,
        "submit": action.label,
        "danger": action.is_danger,
        "cancel": reverse("releases:detail", args=[release.pk]),
    }
    return render(request, "releases/act.html", context, status=400 if form.errors else 200)


def _initial(action: Action, release: Release) -> dict[str, str]:
    if action.form is not EndorseForm:
        return {}
    if release.audit_run is None:
        raise NotFoundError("has no audited files", where=f"release {release.name}", remedy="submit it first")
    return {"digest": release.audit_run.content_root}


def _signatures(release: Release, request: SignedInRequest) -> dict[str, Any]:
    return {
        "reviews": reviews_visible(release, request.user),
        "endorsements": release.endorsements.filter(round=release.round).select_related("officer"),
        "motions": release.motions.filter(is_open=True).select_related("officer"),
    }


def _visible(request: SignedInRequest, pk: UUID) -> Release:
    return find(releases_visible(request.user), pk, what="release")
