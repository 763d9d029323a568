"""is_true: a flag must be set."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding
from policies.fact_table import FactType
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import of_type, verdict


@rule_kind("is_true")
@dataclass(frozen=True, kw_only=True)
class IsTrue:
    """fact: a flag."""

    fact: str

    def __post_init__(self) -> None:
        of_type(self.fact, FactType.FLAG)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact,)

    @property
    def want(self) -> str:
        return "yes"

    def check(self, facts: Facts) -> Finding:
        return verdict(facts[self.fact] is True, got=shown(facts[self.fact]), want=self.want)
