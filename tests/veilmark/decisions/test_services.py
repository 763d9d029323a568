"""A decision has every fact or says which one is missing, and can be traced to what it was made from."""

from __future__ import annotations

from typing import Any

import pytest

from policies.base import PolicyError
from policies.profile import load_profile
from veilmark.accounts.services import person_create
from veilmark.core.errors import NotAllowedError
from veilmark.decisions.facts import gather_facts
from veilmark.decisions.models import Decision
from veilmark.decisions.selectors import decisions_visible
from veilmark.decisions.services import decision_make
from veilmark.ledger.selectors import events_of
from veilmark.releases.services import ReleaseDraft, release_create, release_submit

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def needs_of(profile: str, phase: str) -> set[str]:
    rules = [rule for rule in load_profile(profile).rules if rule.phase == phase]
    return {fact for rule in rules for fact in rule.check.needs}


def test_a_walked_set_has_every_fact_that_the_internal_profile_asks_for(walked):
    facts = gather_facts(walked.audit_run)
    missing = needs_of("internal", "endorsement") - set(facts)
    assert not missing
    decision = walked.release.decision
    assert (decision.outcome, decision.phase) == ("PASS", "endorsement")
    assert len(decision.body["results"]) >= 12


def test_a_decision_is_traced(walked):
    decision = walked.release.decision
    (event,) = events_of(decision)
    for name in ("facts_digest", "profile_digest", "engine_digest"):
        digest = getattr(decision, name)
        assert digest.startswith("sha256:")
        assert digest in event.payload_text
    again = decision_make(audit_run=walked.audit_run, profile="internal", phase="endorsement")
    assert (again.facts_digest, again.profile_digest, again.engine_digest) == (
        decision.facts_digest,
        decision.profile_digest,
        decision.engine_digest,
    )
    assert again.pk != decision.pk


def test_the_facts_hold_no_exact_count(walked):
    facts = gather_facts(walked.audit_run)
    for split in ("train", "holdout"):
        exact = walked.cohort.n_subjects_by_split[split]
        assert exact - 10 < facts[f"n_subjects_{split}"] <= exact
        assert facts[f"n_subjects_{split}"] % 10 == 0


def forget_licence(walked: Any) -> None:
    walked.cohort.licence_permits_derivatives = None
    walked.cohort.save()


def forget_mark(walked: Any) -> None:
    walked.synthetic_set.n_mark_detected = None
    walked.synthetic_set.save()


def forget_attacks(walked: Any) -> None:
    walked.synthetic_set.mark_survival = {}
    walked.synthetic_set.save()


def forget(family: str) -> Any:
    def change(walked: Any) -> None:
        rows = walked.audit_run.report["measurements"]
        walked.audit_run.report["measurements"] = [row for row in rows if not row["name"].startswith(family)]
        walked.audit_run.save()

    return change


def lose_power(walked: Any) -> None:
    for row in walked.audit_run.report["measurements"]:
        if row["name"] == "membership_inference.density_ratio":
            row |= {"status": "no_power", "value": None, "ci_low": None, "ci_high": None}
    walked.audit_run.save()


MISSING = {
    "licence-derivatives": forget_licence,
    "mark": forget_mark,
    "mark-survives": forget_attacks,
    "copies": forget("nearest_copies"),
    "membership": forget("membership_inference"),
    "utility": forget("train_on_synthetic"),
}


@pytest.mark.parametrize(
    ("rule", "change"),
    [*MISSING.items(), ("membership", lose_power), ("copies", forget("memorisation"))],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_is_not_known_is_no_pass(walked, run_jobs, rule, change):
    change(walked)
    draft = ReleaseDraft(name="second", title="Second")
    release = release_create(synthetic_set=walked.synthetic_set, draft=draft, acting_user=walked.people["custodian"])
    release_submit(release=release, acting_user=walked.people["custodian"])
    run_jobs()
    release.refresh_from_db()
    assert (release.state, release.decision.outcome) == ("failed", "UNKNOWN")
    assert rule in release.state_reason
    (result,) = [row for row in release.decision.body["results"] if row["id"] == rule]
    assert result["outcome"] == "UNKNOWN"
    assert result["remedy"]


@pytest.mark.parametrize("profile", ["controlled", "public"])
def test_a_stricter_profile_refuses_a_demo_and_says_why(walked, profile):
    decision = decision_make(audit_run=walked.audit_run, profile=profile, phase="endorsement")
    assert decision.outcome in ("FAIL", "UNKNOWN")
    assert decision.reason


def test_facts_of_a_phase_are_the_callers(walked):
    decision = decision_make(audit_run=walked.audit_run, profile="internal", phase="signing")
    assert decision.outcome == "UNKNOWN"
    facts = {"n_endorsers": 1, "endorsers_independent": True, "endorsement_age_minutes": 1.0, "signer_key_id": "k"}
    facts["endorsed_digest"] = walked.audit_run.content_root
    assert decision_make(audit_run=walked.audit_run, profile="internal", phase="signing", facts=facts).outcome == "FAIL"
    facts["n_endorsers"] = 2
    assert decision_make(audit_run=walked.audit_run, profile="internal", phase="signing", facts=facts).outcome == "PASS"


def test_an_unknown_profile_decides_nothing(walked):
    n = Decision.objects.count()
    with pytest.raises(PolicyError):
        decision_make(audit_run=walked.audit_run, profile="lenient", phase="endorsement")
    assert Decision.objects.count() == n


def test_who_sees_decisions(walked):
    other = person_create(username="other", password="a long enough passphrase", role="custodian")
    assert decisions_visible(other).count() == 0
    assert decisions_visible(walked.people["officer"]).count() == 1
    with pytest.raises(NotAllowedError):
        decisions_visible(walked.people["researcher"])
