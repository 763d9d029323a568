"""A decision: the outcome of every rule with its reasons, bound to the facts, profile and engine it came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from policies.base import Outcome, Phase, PolicyError, Severity

SCHEMA = "veilmark/decision/1"


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """One rule's outcome. got, want: as people read them. applies: False where the rule's condition is not met."""

    id: str
    kind: str
    facts: tuple[str, ...]
    outcome: Outcome
    severity: Severity
    phase: Phase
    got: str
    want: str
    reason: str
    citation: str
    remedy: str
    applies: bool = True


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a profile says of facts at a phase. Digests are `sha256:<hex>`."""

    profile: str
    phase: Phase
    outcome: Outcome
    reason: str
    results: tuple[RuleResult, ...]
    facts_digest: str
    profile_digest: str
    engine_digest: str
    schema: str = SCHEMA

    @property
    def blocking(self) -> list[RuleResult]:
        """The results that keep this decision from PASS."""
        return [
            result
            for result in self.results
            if result.severity is Severity.BLOCK and result.outcome is not Outcome.PASS
        ]

    def to_json(self) -> str:
        """One JSON object, stable for equal decisions."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """The decision that `to_json` wrote. Raises PolicyError, also where the outcome is not that of its results."""
        try:
            data = json.loads(text)
            results = tuple(_result(row) for row in data["results"])
            decision = cls(**_exact(cls, data) | _enums(data) | {"results": results})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise PolicyError(
                f"is no decision ({error})", where="decision", remedy="give a file that `to_json` wrote"
            ) from error
        if decision.schema != SCHEMA or (decision.outcome, decision.reason) != overall(results):
            raise PolicyError("contradicts its own results", where="decision", remedy="evaluate the facts again")
        return decision


def overall(results: Iterable[RuleResult]) -> tuple[Outcome, str]:
    """The outcome of all results with a reason. FAIL before UNKNOWN before PASS; no blocking rule is a FAIL."""
    blocking = [result for result in results if result.severity is Severity.BLOCK and result.applies]
    if not blocking:
        return Outcome.FAIL, "no blocking rule was evaluated: nothing speaks for a release"
    for outcome in (Outcome.FAIL, Outcome.UNKNOWN):
        named = [result.id for result in blocking if result.outcome is outcome]
        if named:
            return outcome, f"{len(named)} of {len(blocking)} blocking rules {outcome}: {', '.join(named)}"
    return Outcome.PASS, f"all {len(blocking)} blocking rules PASS"


def _result(row: Mapping[str, Any]) -> RuleResult:
    return RuleResult(
        **_exact(RuleResult, row)
        | _enums(row)
        | {"severity": Severity(row["severity"]), "facts": tuple(map(str, row["facts"]))}
    )


def _enums(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"phase": Phase(row["phase"]), "outcome": Outcome(row["outcome"])}


def _exact(kind: type[RuleResult | Decision], row: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    if row.keys() != names:
        raise PolicyError(f"keys differ: {sorted(row.keys() ^ names)}", where="decision")
    return dict(row)
