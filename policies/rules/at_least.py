"""at_least: a number may not be below the limit."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import numeric, verdict


@rule_kind("at_least")
@dataclass(frozen=True, kw_only=True)
class AtLeast:
    """fact: a count or number. limit: inclusive, in the fact's unit."""

    fact: str
    limit: float

    def __post_init__(self) -> None:
        numeric(self.fact)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact,)

    @property
    def want(self) -> str:
        return f">= {self.limit:g}"

    def check(self, facts: Facts) -> Finding:
        passed = facts.number(self.fact) >= self.limit
        return verdict(passed, got=shown(facts[self.fact]), want=self.want)
