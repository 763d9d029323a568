"""at_most_public: delta may not be above 1 / (factor x the public number of subjects) (privacy contract 4)."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding, PolicyError
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import numeric, unknown, verdict

_ROUNDING = 1e-9  # 1 / (10 x n) computed twice may differ in its last digits


@rule_kind("at_most_public")
@dataclass(frozen=True, kw_only=True)
class AtMostPublic:
    """fact: a number. n: the count of subjects, the declared one and never the private one. factor: >= 1."""

    fact: str
    n: str
    factor: float

    def __post_init__(self) -> None:
        numeric(self.fact)
        numeric(self.n)
        if self.factor < 1:
            raise PolicyError(f"is {self.factor:g}", where="factor", remedy="give at least 1")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact, self.n)

    @property
    def want(self) -> str:
        return f"<= 1/({self.factor:g} x {self.n})"

    def check(self, facts: Facts) -> Finding:
        n = facts.number(self.n)
        got = shown(facts[self.fact])
        if n < 1:
            return unknown(got=got, reason=f"{self.n} is {n:g}")
        limit = 1 / (self.factor * n)
        passed = facts.number(self.fact) <= limit * (1 + _ROUNDING)
        return verdict(passed, got=got, want=f"{self.want} = {limit:.4g}")
