"""The engine fails closed: nothing missing, unknown, empty or edited ends in PASS."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.base import Outcome, Phase, PolicyError, Severity
from policies.decision import Decision
from policies.engine import decide, engine_digest
from policies.facts import Facts
from policies.profile import Profile, load_profile, parse_profile

INTERNAL = load_profile("internal")
NEEDED = sorted({name for rule in INTERNAL.rules if rule.severity is Severity.BLOCK for name in rule.check.needs})

FAILS = {
    "too few subjects": ({"n_subjects_train": 99}, "subjects"),
    "epsilon": ({"spent_epsilon": 8.01}, "epsilon"),
    "epsilon over all runs": ({"cohort_spent_epsilon": 16.5}, "cohort-epsilon"),
    "delta": ({"delta": 2e-5}, "delta"),
    "delta for many people": ({"public_n_subjects": 20_000}, "delta-public-n"),
    "unit": ({"privacy_unit": "record"}, "unit"),
    "adjacency": ({"adjacency": "replace_one_subject"}, "adjacency"),
    "copies": ({"copies_status": "detected"}, "copies"),
    "rate of copies": ({"copies_rate_upper": 0.06}, "copies-bound"),
    "membership": ({"membership_auc_upper": 0.66}, "membership"),
    "useless": ({"utility_auc_lower": 0.5, "utility_difference": -0.3}, "utility"),
    "contract": ({"contract_passed": False}, "contract"),
    "no legal basis": ({"legal_basis": " "}, "legal-basis"),
    "no purposes": ({"purposes": []}, "purposes"),
    "licence": ({"licence_permits_derivatives": False}, "licence-derivatives"),
    "mark": ({"mark_detected_rate_lower": 0.94}, "mark"),
    "mark that an attack removes": ({"mark_survives": False}, "mark-survives"),
    "one approver": ({"n_endorsers": 1}, "two-endorsers"),
    "custodian endorses": ({"endorsers_independent": False}, "separation-of-duties"),
    "old password": ({"endorsement_age_minutes": 5.1}, "re-authenticated"),
    "another digest": ({"endorsed_digest": "sha256:ab"}, "same-digest"),
    "blank digests": ({"endorsed_digest": "", "audited_digest": ""}, "same-digest"),
    "manifest": ({"manifest_verified": False}, "manifest"),
    "ledger": ({"ledger_verified": False}, "ledger"),
}

UNKNOWN = {
    "copies without power": ({"copies_status": "no_power"}, "copies", "copies-bound"),
    "copies not assessable": ({"copies_status": "not_assessable"}, "copies", "copies-bound"),
    "membership without power": ({"membership_status": "no_power"}, "membership"),
    "membership not assessable": ({"membership_status": "not_assessable"}, "membership"),
    "few members": ({"membership_n_members": 49}, "membership"),
    "few non-members": ({"membership_n_nonmembers": 0}, "membership"),
    "few images checked": ({"copies_n": 99}, "copies-bound"),
    "no public n": ({"public_n_subjects": 0}, "delta-public-n"),
}


def decided(values: dict[str, object], phase: Phase = Phase.DOWNLOAD, profile: Profile = INTERNAL) -> Decision:
    return decide(profile, Facts(values), phase=phase)


@pytest.mark.parametrize("phase", list(Phase))
def test_good_facts_pass(good_facts: dict[str, object], phase: Phase) -> None:
    decision = decided(good_facts, phase)
    assert decision.outcome is Outcome.PASS, decision.reason
    assert decision.blocking == []


@pytest.mark.parametrize(("change", "rule"), FAILS.values(), ids=FAILS.keys())
def test_fails_with_reason(good_facts: dict[str, object], change: dict[str, object], rule: str) -> None:
    decision = decided(good_facts | change)
    assert decision.outcome is Outcome.FAIL
    assert [(result.id, result.outcome) for result in decision.blocking] == [(rule, Outcome.FAIL)]
    assert "wanted" in decision.blocking[0].reason
    assert decision.blocking[0].remedy


@pytest.mark.parametrize(("change", "rules"), [(row[0], row[1:]) for row in UNKNOWN.values()], ids=UNKNOWN.keys())
def test_cannot_tell(good_facts: dict[str, object], change: dict[str, object], rules: tuple[str, ...]) -> None:
    decision = decided(good_facts | change)
    assert decision.outcome is Outcome.UNKNOWN
    assert tuple(result.id for result in decision.blocking) == rules


def test_a_detected_but_small_advantage_passes_by_its_bound(good_facts: dict[str, object]) -> None:
    found = {"membership_status": "detected", "membership_auc": 0.6, "membership_auc_upper": 0.64}
    assert decided(good_facts | found).outcome is Outcome.PASS


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(removed=st.sets(st.sampled_from(NEEDED), min_size=1))
def test_never_passes_without_a_needed_fact(good_facts: dict[str, object], removed: set[str]) -> None:
    left = {name: value for name, value in good_facts.items() if name not in removed}
    assert decided(left).outcome is Outcome.UNKNOWN


def test_phase_decides_what_is_evaluated(good_facts: dict[str, object]) -> None:
    late = {"n_endorsers", "endorsed_digest", "manifest_verified", "purpose_permitted"}
    early = {name: value for name, value in good_facts.items() if name not in late}
    assert decided(early, Phase.ENDORSEMENT).outcome is Outcome.PASS
    assert decided(early, Phase.SIGNING).outcome is Outcome.UNKNOWN
    signing = {result.id for result in decided(good_facts, Phase.SIGNING).results}
    assert {"epsilon", "two-endorsers"} <= signing
    assert "manifest" not in signing


@pytest.mark.parametrize("profile", ["controlled", "public"])
def test_stricter_profiles_refuse_what_nobody_measured(good_facts: dict[str, object], profile: str) -> None:
    decision = decided(good_facts, profile=load_profile(profile))
    assert decision.outcome is not Outcome.PASS
    readers = next(result for result in decision.results if result.id == "readers")
    assert (readers.outcome, readers.reason) == (Outcome.UNKNOWN, "missing: reader_quorum_met")


def test_a_phase_without_blocking_rules_fails(good_facts: dict[str, object]) -> None:
    late_only = Profile(name="late", title="late", rules=tuple(r for r in INTERNAL.rules if r.phase is Phase.DOWNLOAD))
    assert decided(good_facts, Phase.ENDORSEMENT, late_only).outcome is Outcome.FAIL


CONDITION = """
name = "heads"
title = "heads"
[[rules]]
id = "faces"
kind = "is_true"
when = "has_head_images"
fact = "defacing_passed"
severity = "block"
phase = "endorsement"
citation = "evidence for 164.514(b)(2)(i)(Q)"
remedy = "deface"
"""


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ({}, Outcome.UNKNOWN),
        ({"defacing_passed": True}, Outcome.UNKNOWN),
        ({"has_head_images": True}, Outcome.UNKNOWN),
        ({"has_head_images": True, "defacing_passed": False}, Outcome.FAIL),
        ({"has_head_images": True, "defacing_passed": True}, Outcome.PASS),
        ({"has_head_images": False}, Outcome.FAIL),
    ],
    ids=["nothing", "no condition", "no check", "failed", "passed", "the only rule does not apply"],
)
def test_condition(values: dict[str, object], outcome: Outcome) -> None:
    assert decided(values, profile=parse_profile(CONDITION)).outcome is outcome


def test_decision_survives_json_and_names_its_inputs(good_facts: dict[str, object]) -> None:
    decision = decided(good_facts | {"spent_epsilon": 9.0})
    assert Decision.from_json(decision.to_json()) == decision
    assert decision.facts_digest == Facts(good_facts | {"spent_epsilon": 9.0}).digest
    assert (decision.profile_digest, decision.engine_digest) == (INTERNAL.digest, engine_digest())


EDITS = {
    "outcome turned": lambda data: data.update(outcome="PASS"),
    "failing rule removed": lambda data: data.update(results=data["results"][:1]),
    "severity lowered": lambda data: [result.update(severity="warn") for result in data["results"]],
    "unknown key": lambda data: data.update(waived=True),
    "key removed": lambda data: data.pop("facts_digest"),
    "another schema": lambda data: data.update(schema="veilmark/decision/2"),
    "outcome of another word": lambda data: data["results"][0].update(outcome="OK"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_edited_decision_is_refused(good_facts: dict[str, object], edit: object) -> None:
    data = json.loads(decided(good_facts | {"spent_epsilon": 9.0}).to_json())
    edit(data)  # type: ignore[operator]
    with pytest.raises(PolicyError):
        Decision.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 5000], ids=["empty", "list", "bare", "null", "deep"])
def test_what_is_no_decision_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        Decision.from_json(text)


GOOD_AUDITS: dict[str, object] = {
    "copies_status": "not_detected",
    "copies_n": 500,
    "membership_status": "not_detected",
    "membership_n_members": 100,
    "membership_n_nonmembers": 100,
}
RISKS = ("spent_epsilon", "cohort_spent_epsilon", "delta", "copies_rate_upper", "membership_auc_upper")


@given(name=st.sampled_from(RISKS), values=st.tuples(*[st.floats(0, 1)] * 2))
def test_more_risk_never_gives_a_better_outcome(name: str, values: tuple[float, float]) -> None:
    order = [Outcome.PASS, Outcome.UNKNOWN, Outcome.FAIL]
    low, high = (decide(INTERNAL, Facts(GOOD_AUDITS | {name: value})) for value in sorted(values))
    for better, worse in zip(low.results, high.results, strict=True):
        assert order.index(better.outcome) <= order.index(worse.outcome)
