"""same: two texts must be equal, as a signature is bound to its record (21 CFR 11.70)."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding, PolicyError
from policies.fact_table import FactType
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import of_type, verdict


@rule_kind("same")
@dataclass(frozen=True, kw_only=True)
class Same:
    """fact, other: two different texts; two blank ones are not the same."""

    fact: str
    other: str

    def __post_init__(self) -> None:
        of_type(self.fact, FactType.TEXT)
        of_type(self.other, FactType.TEXT)
        if self.fact == self.other:
            raise PolicyError("is compared with itself", where=f"fact {self.fact!r}", remedy="name another fact")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact, self.other)

    @property
    def want(self) -> str:
        return f"equal to {self.other}"

    def check(self, facts: Facts) -> Finding:
        left, right = facts[self.fact], facts[self.other]
        return verdict(left == right and bool(left), got=shown(left), want=f"{self.want} = {shown(right)}")
