"""not_detected: an audit with the power to see a leak looked, and saw none."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import FINDINGS, blind, status_of_audit, verdict


@rule_kind("not_detected")
@dataclass(frozen=True, kw_only=True)
class NotDetected:
    """fact: a status. `no_power` and `not_assessable` give UNKNOWN: an audit that could not tell clears nobody."""

    fact: str

    def __post_init__(self) -> None:
        status_of_audit(self.fact)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact,)

    @property
    def want(self) -> str:
        return "not_detected"

    def check(self, facts: Facts) -> Finding:
        got = shown(facts[self.fact])
        if got not in FINDINGS:
            return blind(got)
        return verdict(got == "not_detected", got=got, want=self.want)
