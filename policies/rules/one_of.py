"""one_of: a text must be one of the listed ones."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding, PolicyError
from policies.fact_table import FactType
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import allowed_choice, of_type, verdict


@rule_kind("one_of")
@dataclass(frozen=True, kw_only=True)
class OneOf:
    """fact: a text. values: at least one permitted value."""

    fact: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        spec = of_type(self.fact, FactType.TEXT)
        if not self.values:
            raise PolicyError("lists no value", where=f"one_of {self.fact}", remedy="name at least one")
        for value in self.values:
            allowed_choice(spec, value)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact,)

    @property
    def want(self) -> str:
        return f"one of {', '.join(self.values)}"

    def check(self, facts: Facts) -> Finding:
        return verdict(facts[self.fact] in self.values, got=shown(facts[self.fact]), want=self.want)
