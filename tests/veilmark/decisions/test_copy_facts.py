"""The fact about copies is that of the detector which found most, and a missing detector is no pass."""

from __future__ import annotations

from typing import Any

import pytest

from veilmark.audit_runs.models import AuditRun
from veilmark.decisions.facts import gather_facts

pytestmark = [pytest.mark.django_db, pytest.mark.database]

PLAIN, ALTERED = "nearest_copies.copy_rate", "memorisation.copy_rate"
NOT_MEASURED = {"status": "no_power", "value": None, "ci_low": None, "ci_high": None}


def facts_with(synthetic_set: Any, changed: str, **change: Any) -> dict[str, object]:
    run = AuditRun.objects.get(synthetic_set=synthetic_set)
    (row,) = [row for row in run.report["measurements"] if row["name"] == changed]
    row.update(change)
    return gather_facts(run)


def test_a_turned_copy_speaks_where_the_plain_detector_sees_none(synthetic_set):
    facts = facts_with(synthetic_set, ALTERED, status="detected", value=0.04, ci_high=0.07)
    assert (facts["copies_status"], facts["copies_rate_upper"]) == ("detected", 0.07)


@pytest.mark.parametrize(("plain", "altered", "worst"), [(0.02, 0.01, 0.02), (0.01, 0.03, 0.03), (-0.01, -0.02, 0.0)])
def test_the_larger_bound_is_the_fact(synthetic_set, plain, altered, worst):
    run = AuditRun.objects.get(synthetic_set=synthetic_set)
    for row in run.report["measurements"]:
        row.update({PLAIN: {"ci_high": plain}, ALTERED: {"ci_high": altered}}.get(row["name"], {}))
    assert gather_facts(run)["copies_rate_upper"] == worst


def test_in_a_cohort_too_small_for_altered_copies_the_plain_detector_speaks(synthetic_set):
    facts = facts_with(synthetic_set, ALTERED, **NOT_MEASURED)
    assert (facts["copies_status"], facts["copies_rate_upper"]) == ("not_detected", 0.01)


def test_without_power_of_the_plain_detector_the_bound_is_unknown(synthetic_set):
    facts = facts_with(synthetic_set, PLAIN, **NOT_MEASURED)
    assert facts["copies_status"] == "no_power"
    assert "copies_rate_upper" not in facts


@pytest.mark.parametrize("name", [PLAIN, ALTERED])
def test_a_detector_that_did_not_run_leaves_no_fact(synthetic_set, name):
    facts = facts_with(synthetic_set, name, name="another")
    assert not {"copies_status", "copies_rate_upper"} & set(facts)
