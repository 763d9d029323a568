"""What people say of flagged pairs reaches the rules: a confirmed copy blocks everywhere, an unreviewed one outside."""

from __future__ import annotations

from typing import Any

import pytest

from policies.base import Phase, Severity
from policies.engine import decide
from policies.facts import Facts
from policies.profile import load_profile, profile_names
from veilmark.audit_runs.copy_reviews import copy_pair_show, copy_review_record
from veilmark.audit_runs.models import AuditRun
from veilmark.decisions.facts import gather_facts
from veilmark.releases.publication import require_publishable
from veilmark.releases.services import (
    ReleaseDraft,
    release_assess,
    release_create,
    release_reopen,
    release_submit,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]

NAMES = ("n_flagged_copies", "n_reviewed_copies", "copies_confirmed_so_far", "confirmed_copies")
RULES = ("confirmed-copies", "copies-reviewed")


def say(run: Any, answers: dict[int, str], person: Any) -> None:
    for number, answer in answers.items():
        copy_pair_show(run=run, number=number, acting_user=person)
        copy_review_record(run=run, number=number, answer=answer, reason="looked at closely", acting_user=person)


def facts_of(run: Any) -> tuple[object, ...]:
    facts = gather_facts(run)
    return tuple(facts.get(name, "unknown") for name in NAMES)


def outcomes(run: Any, profile: str) -> list[str]:
    decision = decide(load_profile(profile), Facts(gather_facts(run)), phase=Phase.ENDORSEMENT)
    results = {result.id: str(result.outcome) for result in decision.results}
    return [results[rule] for rule in RULES]


STATES = {
    "nobody looked": ({}, {}, (3, 0, 0, "unknown"), ["PASS", "UNKNOWN"]),
    "one is left": ({1: "not_copy", 2: "not_copy"}, {}, (3, 2, 0, "unknown"), ["PASS", "UNKNOWN"]),
    "one cannot be told": (
        {1: "not_copy", 2: "not_copy", 3: "cannot_tell"},
        {},
        (3, 2, 0, "unknown"),
        ["PASS", "UNKNOWN"],
    ),
    "another could tell": (
        {1: "not_copy", 2: "not_copy", 3: "cannot_tell"},
        {3: "not_copy"},
        (3, 3, 0, 0),
        ["PASS", "PASS"],
    ),
    "all are innocent": ({1: "not_copy", 2: "not_copy", 3: "not_copy"}, {}, (3, 3, 0, 0), ["PASS", "PASS"]),
    "one is a copy": ({1: "copy", 2: "not_copy", 3: "not_copy"}, {}, (3, 3, 1, 1), ["FAIL", "FAIL"]),
    "a copy, the rest unreviewed": ({1: "copy"}, {}, (3, 1, 1, "unknown"), ["FAIL", "UNKNOWN"]),
    "two people differ": (
        {1: "not_copy", 2: "not_copy", 3: "not_copy"},
        {2: "copy"},
        (3, 3, 1, 1),
        ["FAIL", "FAIL"],
    ),
}


@pytest.mark.parametrize(("first", "second", "facts", "wanted"), STATES.values(), ids=STATES.keys())
def test_facts_and_rules_in_every_state(people, flagged, first, second, facts, wanted):
    say(flagged, first, people.officer)
    say(flagged, second, people.second_officer)
    assert facts_of(flagged) == facts
    for profile in profile_names():
        assert outcomes(flagged, profile) == wanted, profile


def test_without_a_flag_nobody_needs_to_look(synthetic_set):
    run = synthetic_set.audit_runs.get()
    assert facts_of(run) == (0, 0, 0, 0)
    assert outcomes(run, "public") == ["PASS", "PASS"]


@pytest.mark.parametrize("name", ["nearest_copies.copy_rate", "memorisation.copy_rate"])
def test_where_an_audit_of_copies_did_not_run_no_flag_means_nothing(synthetic_set, name):
    run = synthetic_set.audit_runs.get()
    run.report["measurements"] = [row for row in run.report["measurements"] if row["name"] != name]
    assert facts_of(run) == ("unknown",) * 4
    assert outcomes(run, "internal") == ["UNKNOWN", "UNKNOWN"]


def test_severities():
    for profile in profile_names():
        rules = {rule.id: rule.severity for rule in load_profile(profile).rules}
        assert rules["confirmed-copies"] is Severity.BLOCK
        assert rules["copies-reviewed"] is (Severity.WARN if profile == "internal" else Severity.BLOCK)


def test_another_audit_forgets_neither_flags_nor_a_confirmed_copy(people, flagged):
    say(flagged, {1: "copy"}, people.officer)
    again = AuditRun.objects.create(
        synthetic_set=flagged.synthetic_set,
        requested_by=people.custodian,
        seed=1,
        content_root=flagged.content_root,
        report=flagged.report,
        n_flagged_copies=0,
        state="done",
    )
    assert facts_of(again) == (3, 1, 1, "unknown")
    assert outcomes(again, "internal")[0] == "FAIL"


@pytest.fixture
def submitted(people: Any, flagged: Any) -> Any:
    release = release_create(
        synthetic_set=flagged.synthetic_set, draft=ReleaseDraft(name="few", title="Few"), acting_user=people.custodian
    )
    assess_again(release, people)
    return release


def assess_again(release: Any, people: Any) -> None:
    release_submit(release=release, acting_user=people.custodian)
    release_assess(release=release, progress=lambda *_: None)


def test_inside_unreviewed_flags_warn_and_a_confirmed_copy_ends_it(people, flagged, submitted):
    assert submitted.state == "ready", submitted.state_reason
    (warned,) = [row for row in submitted.decision.body["results"] if row["id"] == "copies-reviewed"]
    assert (warned["severity"], warned["outcome"], warned["reason"]) == (
        "warn",
        "UNKNOWN",
        "missing: confirmed_copies",
    )
    say(flagged, {2: "copy"}, people.officer)
    with pytest.raises(Exception, match="confirmed-copies"):
        require_publishable(submitted)


def test_an_answer_that_was_superseded_lets_the_release_go_on(people, flagged, submitted):
    say(flagged, {2: "copy"}, people.officer)
    submitted.state = "failed"
    submitted.save()
    release_reopen(release=submitted, acting_user=people.custodian)
    assess_again(submitted, people)
    assert (submitted.state, submitted.audit_run_id) == ("failed", flagged.pk)
    assert "confirmed-copies" in submitted.state_reason
    say(flagged, {2: "not_copy"}, people.officer)
    release_reopen(release=submitted, acting_user=people.custodian)
    assess_again(submitted, people)
    assert submitted.state == "ready"
