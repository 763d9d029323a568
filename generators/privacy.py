"""What a run may spend, what it spent, and how the two are counted (see docs/privacy and the privacy contract).

The unit is one subject with all their images; adjacency is add or remove one subject; the number of subjects is
private, so every size in a formula is the declared `public_n_subjects`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from generators.base import BudgetError

ADJACENCY = "add_remove_subject"
DEFAULT_DELTA = 1e-5
ACCOUNTANTS = ("rdp", "prv")
# A reference trained without noise: no accountant can count it, and no shipped profile releases it.
NO_ACCOUNTANT = "none"
NO_UNIT = "none"
NON_PRIVATE_NOTE = "NOT PRIVATE: trained without noise as an upper reference; its images may show the people it saw"


@dataclass(frozen=True, kw_only=True)
class PrivacyBudget:
    """What a run is allowed to spend.

    target_epsilon: > 0. target_delta: in (0, 1) and at most 1 / (10 x public_n_subjects) (privacy.md 4).
    public_n_subjects: the custodian's declared, rounded bound on the number of subjects; never the private count.
    """

    target_epsilon: float
    target_delta: float = DEFAULT_DELTA
    public_n_subjects: int
    accountant: str = "prv"
    privacy_unit: str = "subject"
    adjacency: str = ADJACENCY

    @classmethod
    def without_privacy(cls, *, public_n_subjects: int, privacy_unit: str = "subject") -> PrivacyBudget:
        """The budget of a reference without privacy: infinite epsilon, counted by nobody."""
        return cls(
            target_epsilon=math.inf,
            target_delta=1 / (10 * max(1, public_n_subjects)),
            public_n_subjects=public_n_subjects,
            accountant=NO_ACCOUNTANT,
            privacy_unit=privacy_unit,
        )

    @property
    def is_private(self) -> bool:
        """False for a reference alone, which is trained without noise."""
        return self.accountant != NO_ACCOUNTANT

    def __post_init__(self) -> None:
        if self.accountant == NO_ACCOUNTANT and self.target_epsilon != math.inf:
            raise BudgetError("is 'none'", where="accountant", remedy="only a run without privacy has none")
        if self.is_private and not (math.isfinite(self.target_epsilon) and self.target_epsilon > 0):
            raise BudgetError(f"epsilon is {self.target_epsilon}", where="epsilon", remedy="give a number above 0")
        if not 0 < self.target_delta < 1:
            raise BudgetError(f"delta is {self.target_delta}", where="delta", remedy="give a number in (0, 1)")
        if self.public_n_subjects < 1:
            raise BudgetError(f"is {self.public_n_subjects}", where="public n", remedy="declare at least 1 subject")
        limit = 1 / (10 * self.public_n_subjects)
        if self.target_delta > limit * (1 + 1e-9):
            raise BudgetError(
                f"delta {self.target_delta:g} is above 1/(10 x public n) = {limit:g}",
                where="delta",
                remedy=f"use at most {limit:g}",
            )
        if self.accountant not in (*ACCOUNTANTS, NO_ACCOUNTANT):
            raise BudgetError(
                f"is {self.accountant!r}", where="accountant", remedy=f"choose one of {', '.join(ACCOUNTANTS)}"
            )


@dataclass(frozen=True, kw_only=True)
class GaussianEvent:
    """`steps` applications of a Gaussian mechanism with this noise multiplier, each on a Poisson draw of subjects."""

    noise_multiplier: float
    sample_rate: float
    steps: int


@dataclass(frozen=True, kw_only=True)
class PrivacySpend:
    """What was spent, per subject: the events, and the epsilon that the named accountant makes of them."""

    spent_epsilon: float
    delta: float
    accountant: str
    events: tuple[GaussianEvent, ...]
    privacy_unit: str = "subject"
    adjacency: str = ADJACENCY


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step's cost as it stands in the write-ahead log before the step's noise is drawn."""

    step: int
    noise_multiplier: float
    sample_rate: float
    phase: str
