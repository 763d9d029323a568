"""The pages on which officers look at flagged pairs, one at a time, and say which are copies."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from veilmark.accounts.models import User
from veilmark.accounts.pages import FORM, SignedInRequest, page
from veilmark.audit_runs.copies import FlaggedPair, flagged_pairs
from veilmark.audit_runs.copy_reviews import copy_pair_show, copy_review_record, require_reviewer
from veilmark.audit_runs.forms import CopyReviewForm
from veilmark.audit_runs.models import AuditRun, CopyReview
from veilmark.audit_runs.selectors import audit_runs_visible, copy_state, reviews_visible
from veilmark.core.errors import NotFoundError
from veilmark.core.pages import find, posted, refusals_on


@page("copies:review")
def pair_list(request: SignedInRequest, pk: UUID) -> HttpResponse:
    run = _reviewable(request, pk)
    reviews = reviews_visible(run, request.user)
    rows = [_answers(reviews, pair, request.user) for pair in flagged_pairs(run)]
    context = {"run": run, "rows": rows, "state": copy_state([run]), "next": _next(run, request.user)}
    return render(request, "audit_runs/copies.html", context)


@page("copies:review", methods=FORM)
def pair_detail(request: SignedInRequest, pk: UUID, number: int) -> HttpResponse:
    run = _reviewable(request, pk)
    pairs = flagged_pairs(run)
    if not 1 <= number <= len(pairs):
        raise NotFoundError("there is none here", where=f"pair {number}", remedy="go back to the list")
    form = CopyReviewForm(posted(request))
    if form.is_valid():
        with refusals_on(form):
            review = copy_review_record(run=run, number=number, acting_user=request.user, **form.cleaned_data)
            messages.success(request, f"Pair {number}: recorded as “{review.get_answer_display()}”.")
            following = _next(run, request.user)
            if following:
                return redirect("audit_runs:pair", pk=run.pk, number=following)
            return redirect("audit_runs:copies", pk=run.pk)
    context = _answers(reviews_visible(run, request.user), pairs[number - 1], request.user) | {
        "run": run,
        "n_pairs": len(pairs),
        "previous": number - 1,
        "following": number + 1 if number < len(pairs) else 0,
        "form": form,
    }
    return render(request, "audit_runs/pair.html", context, status=400 if form.errors else 200)


@page("copies:review")
def pair_image(request: SignedInRequest, pk: UUID, number: int) -> HttpResponse:
    """Both images as one picture. Never cached, and every look is an event."""
    picture = copy_pair_show(run=_reviewable(request, pk), number=number, acting_user=request.user)
    return HttpResponse(picture, content_type="image/png")


def _answers(reviews: Mapping[int, list[CopyReview]], pair: FlaggedPair, user: User) -> dict[str, object]:
    """What a template shows of a pair: the pair, the user's own answer, those of others."""
    found = reviews.get(pair.number, [])
    mine = next((review for review in found if review.reviewer_id == user.pk), None)
    return {"pair": pair, "mine": mine, "others": [review for review in found if review is not mine]}


def _next(run: AuditRun, user: User) -> int:
    """The first pair that `user` has not answered yet; 0 where all are answered."""
    answered = reviews_visible(run, user)
    return next((pair.number for pair in flagged_pairs(run) if pair.number not in answered), 0)


def _reviewable(request: SignedInRequest, pk: UUID) -> AuditRun:
    run = find(audit_runs_visible(request.user), pk, what="audit run")
    require_reviewer(run, request.user)
    return run
