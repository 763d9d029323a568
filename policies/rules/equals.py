"""equals: a text must be this one and no other."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding
from policies.fact_table import FactType
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import allowed_choice, of_type, verdict


@rule_kind("equals")
@dataclass(frozen=True, kw_only=True)
class Equals:
    """fact: a text. value: what it must be, to the letter."""

    fact: str
    value: str

    def __post_init__(self) -> None:
        allowed_choice(of_type(self.fact, FactType.TEXT), self.value)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact,)

    @property
    def want(self) -> str:
        return self.value

    def check(self, facts: Facts) -> Finding:
        return verdict(facts[self.fact] == self.value, got=shown(facts[self.fact]), want=self.want)
