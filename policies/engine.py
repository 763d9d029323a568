"""The engine: a profile and facts in, a decision out. Small on purpose, and it fails closed.

General engines were tried and left: a missing epsilon passes a forbid rule of Cedar and plain Rego, Cedar has no
floats, CEL computes 1/(10*n) as 0 and gives a boolean without a trace. Here a missing fact is UNKNOWN, a decision
without blocking rules FAILs, and every rule says what it got and what it wanted.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from policies.base import Finding, Outcome, Phase
from policies.decision import Decision, RuleResult, overall
from policies.facts import Facts
from policies.profile import Profile, Rule


def decide(profile: Profile, facts: Facts, *, phase: Phase = Phase.ENDORSEMENT) -> Decision:
    """Evaluate every rule of `profile` that stands at `phase` or before it. Equal input gives an equal decision."""
    results = tuple(_evaluate(rule, facts) for rule in profile.rules if phase.includes(rule.phase))
    outcome, reason = overall(results)
    return Decision(
        profile=profile.name,
        phase=phase,
        outcome=outcome,
        reason=reason,
        results=results,
        facts_digest=facts.digest,
        profile_digest=profile.digest,
        engine_digest=engine_digest(),
    )


@cache
def engine_digest() -> str:
    """`sha256:<hex>` over the source of this package, so that a changed rule kind is a changed engine."""
    root = Path(__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        source = path.read_bytes()
        total.update(f"{path.relative_to(root).as_posix()} {len(source)}\n".encode() + source)
    return f"sha256:{total.hexdigest()}"


def _evaluate(rule: Rule, facts: Facts) -> RuleResult:
    applies = facts.get(rule.when) is not False if rule.when else True
    finding = _finding(rule, facts) if applies else _not_applicable(rule)
    return RuleResult(
        id=rule.id,
        kind=rule.kind,
        facts=rule.check.needs,
        outcome=finding.outcome,
        severity=rule.severity,
        phase=rule.phase,
        got=finding.got,
        want=rule.check.want,
        reason=finding.reason,
        citation=rule.citation,
        remedy=rule.remedy,
        applies=applies,
    )


def _finding(rule: Rule, facts: Facts) -> Finding:
    needs = (*((rule.when,) if rule.when else ()), *rule.check.needs)
    missing = [name for name in needs if name not in facts]
    if missing:
        return Finding(outcome=Outcome.UNKNOWN, got="nothing", reason=f"missing: {', '.join(missing)}")
    return rule.check.check(facts)


def _not_applicable(rule: Rule) -> Finding:
    return Finding(outcome=Outcome.PASS, got="", reason=f"does not apply: {rule.when} is no")
