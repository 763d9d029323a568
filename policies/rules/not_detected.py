"""not_detected: an audit with the power to see a leak looked, and saw none."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding, PolicyError
from policies.fact_table import STATUSES
from policies.facts import Facts, fact_spec, shown
from policies.registry import rule_kind
from policies.verdicts import unknown, verdict


@rule_kind("not_detected")
@dataclass(frozen=True, kw_only=True)
class NotDetected:
    """fact: a status. `no_power` and `not_assessable` give UNKNOWN: an audit that could not tell clears nobody."""

    fact: str

    def __post_init__(self) -> None:
        if fact_spec(self.fact).choices != STATUSES:
            raise PolicyError("is no status", where=f"fact {self.fact!r}", remedy="name an audit's status")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact,)

    @property
    def want(self) -> str:
        return "not_detected"

    def check(self, facts: Facts) -> Finding:
        got = shown(facts[self.fact])
        if got not in {"detected", "not_detected"}:
            return unknown(got=got, reason=f"the audit answered {got}: it could not tell")
        return verdict(got == "not_detected", got=got, want=self.want)
