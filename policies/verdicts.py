"""What the files of `rules/` share: findings in the same words, and checks of the facts a rule names."""

from __future__ import annotations

from policies.base import Finding, Outcome, PolicyError
from policies.fact_table import STATUSES, FactSpec, FactType
from policies.facts import fact_spec

FINDINGS = ("detected", "not_detected")
"""The statuses of an audit that could tell."""


def verdict(passed: bool, *, got: str, want: str) -> Finding:
    """PASS or FAIL, with a reason that names both sides."""
    reason = f"{got} is as wanted ({want})" if passed else f"{got}, but wanted {want}"
    return Finding(outcome=Outcome.PASS if passed else Outcome.FAIL, got=got, reason=reason)


def unknown(*, got: str, reason: str) -> Finding:
    """UNKNOWN although every fact is there, because the facts cannot carry an answer."""
    return Finding(outcome=Outcome.UNKNOWN, got=got, reason=reason)


def blind(status: str) -> Finding:
    """UNKNOWN because an audit without power, or without working controls, clears nobody."""
    return unknown(got=status, reason=f"the audit answered {status}: it could not tell")


def status_of_audit(name: str) -> None:
    """Raises PolicyError for a fact that is no audit's status."""
    if fact_spec(name).choices != STATUSES:
        raise PolicyError("is no status", where=f"fact {name!r}", remedy="name an audit's status")


def numeric(name: str) -> FactSpec:
    """The declaration of a count or number. Raises PolicyError for any other fact."""
    return of_type(name, FactType.COUNT, FactType.NUMBER)


def of_type(name: str, *types: FactType) -> FactSpec:
    """The declaration of a fact of one of `types`. Raises PolicyError for any other fact."""
    spec = fact_spec(name)
    if spec.type not in types:
        raise PolicyError(f"is a {spec.type}", where=f"fact {name!r}", remedy=f"name a {' or '.join(types)}")
    return spec


def allowed_choice(spec: FactSpec, value: str) -> None:
    """Raises PolicyError where a rule wants a value that the fact can never have."""
    if spec.choices and value not in spec.choices:
        raise PolicyError(f"can never be {value!r}", where=f"fact {spec.name!r}", remedy=f"one of {spec.choices}")
