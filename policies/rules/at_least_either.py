"""at_least_either: one of two numbers reaches its limit; both must have been measured."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import numeric, verdict


@rule_kind("at_least_either")
@dataclass(frozen=True, kw_only=True)
class AtLeastEither:
    """fact, other: counts or numbers. limit, other_limit: inclusive, each in its fact's unit."""

    fact: str
    limit: float
    other: str
    other_limit: float

    def __post_init__(self) -> None:
        numeric(self.fact)
        numeric(self.other)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact, self.other)

    @property
    def want(self) -> str:
        return f"{self.fact} >= {self.limit:g} or {self.other} >= {self.other_limit:g}"

    def check(self, facts: Facts) -> Finding:
        passed = facts.number(self.fact) >= self.limit or facts.number(self.other) >= self.other_limit
        got = f"{shown(facts[self.fact])}; {self.other} {shown(facts[self.other])}"
        return verdict(passed, got=got, want=self.want)
