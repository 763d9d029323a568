"""What every part of the engine shares: outcomes, severities, phases, the protocol of a rule kind, the error.

Errors::

    PolicyError        anything this package refuses: what was wrong, where, what to do next
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from policies.facts import Facts


class PolicyError(Exception):
    """A refusal that a person can act on. `str()` is one line: what, where, what to do."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))


class Outcome(StrEnum):
    """What a rule, or a whole decision, says. Only PASS lets anything go on."""

    PASS = "PASS"  # noqa: S105 - an outcome, not a password
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Severity(StrEnum):
    """BLOCK counts towards the decision; WARN is shown to the endorsers; RECORD is only kept."""

    BLOCK = "block"
    WARN = "warn"
    RECORD = "record"


class Phase(StrEnum):
    """From when on a rule is evaluated. Members stand in the order of time."""

    ENDORSEMENT = "endorsement"
    SIGNING = "signing"
    DOWNLOAD = "download"

    def includes(self, other: Phase) -> bool:
        """Whether rules of phase `other` are evaluated at this phase: its own and every earlier one."""
        order = list(Phase)
        return order.index(other) <= order.index(self)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found. reason: one line a person can read; got: the facts' values as text."""

    outcome: Outcome
    got: str
    reason: str


class Check(Protocol):
    """One rule kind with its limits: a frozen dataclass in a file of `rules/`, its fields read from the profile.

    `check` may rely on every fact of `needs` being there: the engine answers UNKNOWN before it asks.
    """

    @property
    def needs(self) -> tuple[str, ...]: ...

    @property
    def want(self) -> str: ...

    def check(self, facts: Facts) -> Finding: ...


def digest_of(value: object) -> str:
    """`sha256:<hex>` over the canonical JSON of `value` (sorted keys, no spaces, no NaN)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
