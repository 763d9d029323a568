"""upper_bound_with_minimum_n: a risk's upper bound under the limit, measured on enough people.

A point value passes and fails by luck (a perfectly private set fails AUC <= .55 in 11 % of audits at 100 + 100
people), so the bound is judged. With too few people, or from an audit whose controls say that it could not have seen a
leak, the answer is UNKNOWN: a low bound of a blind attack speaks for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding, PolicyError
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import FINDINGS, blind, numeric, status_of_audit, unknown, verdict


@rule_kind("upper_bound_with_minimum_n")
@dataclass(frozen=True, kw_only=True)
class UpperBoundWithMinimumN:
    """fact: the upper bound. status: of its audit. limit: inclusive. n: counts of the arms. minimum_n: for each arm."""

    fact: str
    status: str
    limit: float
    n: tuple[str, ...]
    minimum_n: int

    def __post_init__(self) -> None:
        for name in (self.fact, *self.n):
            numeric(name)
        status_of_audit(self.status)
        if not self.n or self.minimum_n < 1:
            raise PolicyError("asks for nobody", where=f"rule on {self.fact}", remedy="name counts and a minimum >= 1")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact, self.status, *self.n)

    @property
    def want(self) -> str:
        return f"<= {self.limit:g} with n >= {self.minimum_n}"

    def check(self, facts: Facts) -> Finding:
        status = shown(facts[self.status])
        if status not in FINDINGS:
            return blind(status)
        smallest = min(facts.number(name) for name in self.n)
        got = f"{shown(facts[self.fact])} with n = {smallest:g}"
        if smallest < self.minimum_n:
            return unknown(got=got, reason=f"n is {smallest:g}: too few, {self.minimum_n} needed")
        return verdict(facts.number(self.fact) <= self.limit, got=got, want=self.want)
