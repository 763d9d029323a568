"""Whatever people try, and in whatever order, a release moves along its table and leaves by two signatures only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veilmark.accounts.models import Role
from veilmark.accounts.services import person_create
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.ledger.selectors import events_of
from veilmark.releases.models import Endorsement, Release, Review
from veilmark.releases.moves import release_move
from veilmark.releases.review import release_endorse, release_propose, release_suspend, release_vote
from veilmark.releases.services import (
    release_assess,
    release_open_review,
    release_reopen,
    release_send_to_clinicians,
    release_submit,
    release_withdraw,
)
from veilmark.releases.states import SYSTEM, TRANSITIONS, ReleaseState

pytestmark = [pytest.mark.django_db, pytest.mark.database]
ROLES = (*Role.values, *SYSTEM)
ROWS = {(row.source, row.target): row for row in TRANSITIONS}


@pytest.mark.parametrize("source", ReleaseState)
def test_only_the_tables_moves_by_the_tables_roles(people, drafted, source):
    actors = dict.fromkeys(SYSTEM) | {
        user.role: user for user in (people.custodian, people.officer, people.clinician, people.researcher)
    }
    for target in ReleaseState:
        for role, user in actors.items():
            Release.objects.filter(pk=drafted.pk).update(state=source)
            row = ROWS.get((source, target))
            n_events = events_of(drafted).count()
            if row and role in row.actor_roles:
                release_move(drafted, target, acting_user=user, reason="a reason")
                event = events_of(drafted).latest("sequence")
                assert (drafted.state, event.kind, event.actor) == (target, row.event, user)
                continue
            with pytest.raises(NotAllowedError if row else StateError):
                release_move(drafted, target, acting_user=user)
            drafted.refresh_from_db()
            assert (drafted.state, events_of(drafted).count()) == (source, n_events)


def test_the_table_is_whole():
    assert len(ROWS) == len(TRANSITIONS), "one row for each move"
    assert {row.source for row in TRANSITIONS} | {row.target for row in TRANSITIONS} == set(ReleaseState)
    assert all(set(row.actor_roles) <= set(ROLES) and row.guard for row in TRANSITIONS)
    before_release = {state for state in ReleaseState if (state, ReleaseState.WITHDRAWN) in ROWS}
    after = {"released", "suspended", "revoked", "expired", "withdrawn", "rejected"}
    assert before_release == set(ReleaseState) - after


@pytest.fixture
def officers(people: Any) -> list[Any]:
    third = person_create(username="third", password=people.password, role="compliance_officer")
    return [people.officer, people.second_officer, third]


def acts_of(release: Any, people: Any, officers: list[Any]) -> dict[str, Any]:
    """Everything that anybody can do, by name; a release as each finds it on the page."""
    good = release.synthetic_set.content_root

    def page() -> Any:
        return Release.objects.get(pk=release.pk)

    acts: dict[str, Any] = {
        "submit": lambda: release_submit(release=page(), acting_user=people.custodian),
        "assess": lambda: release_assess(release=page(), progress=lambda *_: None),
        "send": lambda: release_send_to_clinicians(release=page(), acting_user=people.custodian),
        "open": lambda: release_open_review(release=page(), acting_user=people.custodian),
        "reopen": lambda: release_reopen(release=page(), acting_user=people.custodian),
        "withdraw": lambda: release_withdraw(release=page(), reason="why", acting_user=people.custodian),
        "publish": lambda: release_move(page(), ReleaseState.RELEASED, acting_user=None),
    }
    for i, officer in enumerate([*officers, people.custodian]):
        for vote in ("approve", "approve", "return", "reject"):
            acts[f"vote {i} {vote}"] = lambda officer=officer, vote=vote: release_vote(
                release=page(), vote=vote, reason="why", acting_user=officer
            )
        for name, digest in (("sign", good), ("sign wrongly", f"sha256:{'0' * 64}")):
            acts[f"{name} {i}"] = lambda officer=officer, digest=digest: release_endorse(
                release=page(), digest=digest, meaning="mine", password=people.password, acting_user=officer
            )
        acts[f"suspend {i}"] = lambda officer=officer: release_suspend(
            release=page(), reason="why", acting_user=officer
        )
        for target in ("released", "revoked"):
            acts[f"move {target} {i}"] = lambda officer=officer, target=target: release_propose(
                release=page(), target=target, reason="why", acting_user=officer
            )
    return acts


USUAL = ["submit", "assess", "send", "vote 0 approve", "vote 1 approve", "sign 0", "sign 1", "publish"]
NAMES = st.sampled_from(
    [
        *(USUAL * 2),
        *("open", "reopen", "withdraw", "vote 2 approve", "vote 0 return", "vote 1 reject", "vote 3 approve"),
        *("sign 2", "sign 3", "sign wrongly 0", "suspend 0", "suspend 3", "move released 0", "move released 1"),
        *("move revoked 0", "move revoked 2", "move revoked 3"),
    ]
)


@st.composite
def walks(draw: st.DrawFn) -> list[str]:
    """The usual way with steps left out, repeated and put in between: plain chance would never get far."""
    steps: list[str] = []
    for step in USUAL:
        steps += draw(st.lists(NAMES, max_size=2))
        steps += [step] * draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
    return steps + draw(st.lists(NAMES, max_size=6))


@pytest.fixture
def fresh(db: None, drafted: Any) -> Iterator[Any]:
    """Runs a walk in a transaction that is taken back, so that each starts from the same draft."""
    from django.db import transaction

    def run(walk: Any) -> None:
        with transaction.atomic():
            walk()
            transaction.set_rollback(True)
        drafted.refresh_from_db()

    return run


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=walks())
def test_no_way_leads_out_without_two_independent_signatures(fresh, drafted, people, officers, steps):
    def walk() -> None:
        acts = acts_of(drafted, people, officers)
        for step in steps:
            before = Release.objects.get(pk=drafted.pk).state
            n_events = events_of(drafted).count()
            try:
                acts[step]()
            except ApplicationError:
                assert Release.objects.get(pk=drafted.pk).state == before
                assert events_of(drafted).count() == n_events, "what is refused leaves no trace of a change"
            assert_guarded(Release.objects.get(pk=drafted.pk), people)

    fresh(walk)


def assert_guarded(release: Release, people: Any) -> None:
    """Whoever is APPROVED or further was signed for by two officers who both voted for it in the same round."""
    if release.state not in ("approved", "released", "suspended", "revoked"):
        return
    signed = Endorsement.objects.filter(release=release, round=release.round, digest=release.audit_run.content_root)
    signers = {row.officer_id for row in signed}
    assert len(signers) == 2
    assert people.custodian.pk not in signers
    votes = Review.objects.filter(release=release, round=release.round)
    assert {row.officer_id for row in votes} == signers
    assert {row.vote for row in votes} == {"approve"}
