"""Making a decision: facts gathered, the profile's rules applied, the outcome stored with every digest."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.db import transaction

from policies.base import Phase
from policies.engine import decide
from policies.facts import Facts
from policies.profile import load_profile
from veilmark.accounts.models import User
from veilmark.audit_runs.models import AuditRun
from veilmark.decisions.facts import gather_facts
from veilmark.decisions.models import Decision
from veilmark.ledger.services import event_append


@transaction.atomic
def decision_make(
    *,
    audit_run: AuditRun,
    profile: str,
    phase: str,
    facts: Mapping[str, object] | None = None,
    acting_user: User | None = None,
) -> Decision:
    """Decide on the set of `audit_run` under `profile` at `phase`; `facts` are the caller's, of that phase.

    Raises PolicyError for an unknown profile or a malformed fact. A fact that nobody gives is UNKNOWN, not a pass.
    """
    known = Facts(gather_facts(audit_run) | dict(facts or {}))
    verdict = decide(load_profile(profile), known, phase=Phase(phase))
    body = json.loads(verdict.to_json())
    decision = Decision.objects.create(
        audit_run=audit_run,
        profile=profile,
        phase=phase,
        outcome=verdict.outcome,
        reason=verdict.reason,
        body=body,
        facts=dict(known),
        facts_digest=verdict.facts_digest,
        profile_digest=verdict.profile_digest,
        engine_digest=verdict.engine_digest,
        made_for=acting_user,
    )
    payload = {
        name: body[name] for name in ("profile", "phase", "outcome", "facts_digest", "profile_digest", "engine_digest")
    }
    event_append(kind="decision:made", actor=acting_user, subject=decision, payload=payload)
    return decision
