"""What a person can do with a release on its page: a table that says in which state, by whom, and with what form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms

from veilmark.accounts.models import User
from veilmark.accounts.permissions import allowed
from veilmark.core.errors import NotFoundError
from veilmark.releases import review, services
from veilmark.releases.forms import ConfirmForm, EndorseForm, MotionForm, ReasonForm, VoteForm
from veilmark.releases.models import Release, Vote
from veilmark.releases.selectors import interest_of
from veilmark.releases.states import TRANSITIONS, ReleaseState

_S = ReleaseState


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing to do. service: called with release, acting_user and the form's values.

    states: where it can be done; the service checks again. permission: a key of accounts' ACTIONS.
    """

    slug: str
    label: str
    explanation: str
    states: frozenset[ReleaseState]
    permission: str
    service: Callable[..., object]
    form: type[forms.Form] = ConfirmForm
    is_danger: bool = False
    is_next: bool = True


def _sources(target: ReleaseState) -> frozenset[ReleaseState]:
    return frozenset(ReleaseState(row.source) for row in TRANSITIONS if row.target == target)


ACTIONS: Mapping[str, Action] = {
    action.slug: action
    for action in (
        Action(
            slug="submit",
            label="Submit for audit",
            explanation="The audits run on the final files, then the rules of the profile decide.",
            states=frozenset({_S.DRAFT}),
            permission="release:create",
            service=services.release_submit,
        ),
        Action(
            slug="send",
            label="Send to clinicians",
            explanation="Clinicians read the set where the profile asks for it; then the officers review.",
            states=frozenset({_S.READY}),
            permission="release:create",
            service=services.release_send_to_clinicians,
        ),
        Action(
            slug="open-review",
            label="Open the review",
            explanation="Once enough clinicians have read the whole study, two officers review.",
            states=frozenset({_S.CLINICAL}),
            permission="release:create",
            service=services.release_open_review,
        ),
        Action(
            slug="reopen",
            label="Reopen as a draft",
            explanation="A new round begins; earlier votes are void.",
            states=frozenset({_S.FAILED, _S.RETURNED}),
            permission="release:create",
            service=services.release_reopen,
        ),
        Action(
            slug="vote",
            label="Vote",
            explanation="Your first vote is blind: nobody sees it before the other officer has voted.",
            states=frozenset({_S.IN_REVIEW}),
            permission="release:endorse",
            service=review.release_vote,
            form=VoteForm,
        ),
        Action(
            slug="endorse",
            label="Sign the digest",
            explanation="You sign the digest of the files that were audited. The second signature publishes them.",
            states=frozenset({_S.REVIEWED}),
            permission="release:endorse",
            service=review.release_endorse,
            form=EndorseForm,
        ),
        Action(
            slug="suspend",
            label="Suspend",
            explanation="Downloads stop at once. Two officers can reinstate or revoke the release.",
            states=_sources(_S.SUSPENDED),
            permission="release:suspend",
            service=review.release_suspend,
            form=ReasonForm,
            is_danger=True,
            is_next=False,
        ),
        Action(
            slug="move",
            label="Move to revoke or reinstate",
            explanation="A motion carries when a second officer makes the same one.",
            states=_sources(_S.REVOKED),
            permission="release:suspend",
            service=review.release_propose,
            form=MotionForm,
            is_danger=True,
            is_next=False,
        ),
        Action(
            slug="withdraw",
            label="Withdraw",
            explanation="The set is taken back for good. This cannot be undone.",
            states=_sources(_S.WITHDRAWN),
            permission="release:withdraw",
            service=services.release_withdraw,
            form=ReasonForm,
            is_danger=True,
            is_next=False,
        ),
    )
}


def action_named(slug: str) -> Action:
    """Raises NotFoundError."""
    if slug not in ACTIONS:
        raise NotFoundError("there is no such step", where=slug, remedy=f"known are {', '.join(ACTIONS)}")
    return ACTIONS[slug]


def actions_for(release: Release, user: User) -> list[Action]:
    """What `user` can do with `release` as it stands. The services decide; this only keeps dead ends off the page."""
    return [
        action
        for action in ACTIONS.values()
        if release.state in action.states and allowed(user, action.permission) and _is_open_to(action, release, user)
    ]


def _is_open_to(action: Action, release: Release, user: User) -> bool:
    if action.permission in ("release:create", "release:withdraw"):
        return release.custodian_id == user.pk
    if action.permission == "release:endorse":
        return not interest_of(release, user) and not _has_acted(action, release, user)
    return True


def _has_acted(action: Action, release: Release, user: User) -> bool:
    rows: Any = release.reviews if action.slug == "vote" else release.endorsements
    mine = rows.filter(round=release.round, officer=user).exists()
    if action.slug == "endorse":
        return mine or not release.reviews.filter(round=release.round, officer=user, vote=Vote.APPROVE).exists()
    return bool(mine)
