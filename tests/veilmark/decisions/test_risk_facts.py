"""The three risks of the law and k reach the rules from what was measured; what was not measured stays unknown."""

from __future__ import annotations

from typing import Any

import pytest

from policies.base import Phase
from policies.engine import decide
from policies.facts import Facts
from policies.profile import load_profile
from veilmark.audit_runs.models import AuditRun
from veilmark.decisions.facts import gather_facts

pytestmark = [pytest.mark.django_db, pytest.mark.database]

ATTACKS = {
    "singling_out.univariate": 0.0,
    "singling_out.multivariate": 0.04,
    "linkability.metadata": 0.02,
    "attribute_inference.label": -0.01,
    "attribute_inference.sex": 0.03,
    "attribute_inference.age_group": 0.02,
    "quasi_identifiers.smallest_k": 11.0,
}
RULES = {
    "singling_out_upper": "singling-out",
    "linkability_upper": "linkability",
    "inference_upper": "inference",
    "smallest_cell_k": "cells",
}


def measured(synthetic_set: Any, **changes: dict[str, Any]) -> AuditRun:
    """The set's audit with a row for each attack; `changes` by name, dots written as two underscores."""
    run = AuditRun.objects.get(synthetic_set=synthetic_set)
    rows = [
        {"name": name, "status": "not_detected", "value": high, "ci_low": 0.0, "ci_high": high, "n": {"train": 600}}
        | changes.get(name.replace(".", "__"), {})
        for name, high in ATTACKS.items()
    ]
    run.report["measurements"] += [row for row in rows if row["status"] != "left out"]
    return run


def outcome(facts: dict[str, object], fact: str, profile: str = "public") -> str:
    decision = decide(load_profile(profile), Facts(facts), phase=Phase.ENDORSEMENT)
    (result,) = [result for result in decision.results if result.id == RULES[fact]]
    return str(result.outcome)


def test_the_strongest_attack_of_each_risk_is_the_fact(synthetic_set):
    facts = gather_facts(measured(synthetic_set))
    assert facts["singling_out_upper"] == 0.04
    assert facts["linkability_upper"] == 0.02
    assert facts["inference_upper"] == 0.03
    assert facts["smallest_cell_k"] == 11
    assert all(outcome(facts, fact) == "PASS" for fact in RULES)


def test_a_large_risk_and_a_small_cell_fail(synthetic_set):
    changes = {"singling_out__multivariate": {"status": "detected", "ci_high": 0.4}}
    changes |= {"quasi_identifiers__smallest_k": {"status": "detected", "value": 5.0}}
    facts = gather_facts(measured(synthetic_set, **changes))
    assert outcome(facts, "singling_out_upper") == outcome(facts, "smallest_cell_k") == "FAIL"
    assert outcome(facts, "smallest_cell_k", profile="controlled") == "PASS"


@pytest.mark.parametrize("status", ["no_power", "not_assessable", "left out"])
@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("singling_out__multivariate", "singling_out_upper"),
        ("linkability__metadata", "linkability_upper"),
        ("attribute_inference__sex", "inference_upper"),
        ("quasi_identifiers__smallest_k", "smallest_cell_k"),
    ],
)
def test_what_was_not_measured_is_unknown_and_no_pass(synthetic_set, name, fact, status):
    facts = gather_facts(measured(synthetic_set, **{name: {"status": status}}))
    assert fact not in facts
    assert outcome(facts, fact) == "UNKNOWN"


VISITS = {"name": "re_identification.linked_rate", "value": 0.0, "ci_low": 0.0, "n": {"train": 600}}
LINKED = {
    "not detected, and smaller": ("not_detected", 0.01, 0.02),
    "not detected, and larger": ("not_detected", 0.08, 0.08),
    "detected, and smaller": ("detected", 0.01, 0.03),
    "detected, and larger": ("detected", 0.4, 0.42),
    "detected of all": ("detected", 1.0, 1.0),
    "an excess below nothing": ("not_detected", -0.01, 0.02),
    "no power": ("no_power", 0.5, 0.02),
    "not assessable": ("not_assessable", None, 0.02),
    "detected without a bound": ("detected", None, None),
}


@pytest.mark.parametrize(("status", "high", "wanted"), LINKED.values(), ids=LINKED.keys())
def test_links_to_other_visits_make_linkability_worse_where_they_could_be_told(synthetic_set, status, high, wanted):
    run = measured(synthetic_set)
    run.report["measurements"].append(VISITS | {"status": status, "ci_high": high})
    found = gather_facts(run).get("linkability_upper")
    assert found == (None if wanted is None else pytest.approx(wanted))
    if status == "detected":
        assert found is None or found > ATTACKS["linkability.metadata"]


def test_visits_do_not_speak_for_metadata_that_were_not_measured(synthetic_set):
    run = measured(synthetic_set, linkability__metadata={"status": "no_power"})
    run.report["measurements"].append(VISITS | {"status": "not_detected", "ci_high": 0.01})
    assert "linkability_upper" not in gather_facts(run)


def test_without_these_audits_their_facts_are_missing(synthetic_set):
    facts = gather_facts(AuditRun.objects.get(synthetic_set=synthetic_set))
    assert not set(RULES) & set(facts)


def test_the_internal_profile_asks_for_none_of_them():
    needs = {fact for rule in load_profile("internal").rules for fact in rule.check.needs}
    assert not needs & set(RULES)
