"""What a generator's folder claims: its card beside its `steps.log`, mechanism by mechanism."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audits.base import AuditError
from generators.accounting import epsilon_of
from generators.base import BudgetError, GeneratorCard
from generators.folder import load_card
from generators.privacy import GaussianEvent
from generators.steps_log import FILE, spent_from_log

# Numerical accounting at smaller noise takes minutes; a bound at larger noise is a bound all the same.
LEAST_NOISE = 0.4


@dataclass(frozen=True, kw_only=True)
class Part:
    """One mechanism of the log: `steps` applications in a phase, at one noise multiplier and one sample rate."""

    phase: str
    noise_multiplier: float
    sample_rate: float
    steps: int

    @property
    def mu(self) -> float:
        """How far one subject who takes part may move it, in deviations of its noise."""
        return 1 / self.noise_multiplier


@dataclass(frozen=True, kw_only=True)
class Claim:
    """card: as it stands. parts: of the log. logged_epsilon: what the log's steps cost, by the card's accountant."""

    card: GeneratorCard
    parts: tuple[Part, ...]
    logged_epsilon: float

    @classmethod
    def of(cls, folder: Path) -> Claim:
        """Raises GeneratorError for a folder that `train` did not finish; AuditError for a card that claims nothing."""
        card = load_card(folder)
        if not card.budget.is_private:
            raise AuditError("was trained without privacy and claims none", where=str(folder))
        return cls(card=card, parts=_parts(folder), logged_epsilon=spent_from_log(folder).spent_epsilon)

    @property
    def epsilon(self) -> float:
        return self.card.spend.spent_epsilon

    @property
    def delta(self) -> float:
        return self.card.spend.delta

    def epsilon_at(self, mus: Mapping[Part, float]) -> float:
        """Epsilon at the claimed delta of mechanisms of these mu, at the claimed rates and steps; others cost nothing.

        By PRV, whatever the card's accountant is: Renyi's answer may lie above the truth and is no lower bound.
        """
        events = [_event(part, mu) for part, mu in mus.items() if mu > 0]
        return _computed(events, self.delta)


def _event(part: Part, mu: float) -> GaussianEvent:
    noise = 1 / mu
    if part.sample_rate < 1:
        noise = max(noise, min(LEAST_NOISE, 0.8 * part.noise_multiplier))
    return GaussianEvent(noise_multiplier=noise, sample_rate=part.sample_rate, steps=part.steps)


def _computed(events: Sequence[GaussianEvent], delta: float) -> float:
    """Where PRV cannot compute it, of more noise: smaller, and so a lower bound still."""
    for _ in range(8):
        try:
            return epsilon_of(events, delta, "prv")
        except BudgetError:
            events = [
                GaussianEvent(
                    noise_multiplier=event.noise_multiplier * 1.25, sample_rate=event.sample_rate, steps=event.steps
                )
                for event in events
            ]
    return 0.0


def _parts(folder: Path) -> tuple[Part, ...]:
    """The readable steps of the log, equal ones counted, in the order in which they first appear."""
    counted: Counter[tuple[str, float, float]] = Counter()
    for line in (folder / FILE).read_bytes().splitlines():
        try:
            row = json.loads(line)
            if row["kind"] == "step":
                counted[str(row["phase"]), float(row["noise_multiplier"]), float(row["sample_rate"])] += 1
        except (ValueError, KeyError, TypeError):
            continue  # a torn line: `spent_from_log` charges it
    return tuple(
        Part(phase=phase, noise_multiplier=noise, sample_rate=rate, steps=steps)
        for (phase, noise, rate), steps in counted.items()
    )
