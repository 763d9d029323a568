"""present: a text, or a list of texts, must say something."""

from __future__ import annotations

from dataclasses import dataclass

from policies.base import Finding
from policies.fact_table import FactType
from policies.facts import Facts, shown
from policies.registry import rule_kind
from policies.verdicts import of_type, verdict


@rule_kind("present")
@dataclass(frozen=True, kw_only=True)
class Present:
    """fact: a text or a list of texts; blank ones do not count."""

    fact: str

    def __post_init__(self) -> None:
        of_type(self.fact, FactType.TEXT, FactType.TEXTS)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.fact,)

    @property
    def want(self) -> str:
        return "present"

    def check(self, facts: Facts) -> Finding:
        value = facts[self.fact]
        said = [text for text in (value if isinstance(value, tuple) else (str(value),)) if text.strip()]
        return verdict(bool(said), got=shown(value) if said else "nothing", want=self.want)
