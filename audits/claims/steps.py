"""The step audit: does the private loop hide one subject behind the noise that its card names?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from audits.claims.bounds import SHORT, MuBound, Tally, best_threshold, n_needed
from audits.claims.canaries import KINDS, Canaries, Observed, Trainer, observe
from audits.claims.record import Part
from audits.claims.sampler import SamplerTest, sampler_test
from generators.training import DpSgdPlan, PrivateSettings, train_network

N_CANARIES = 1000
LEAST_OBSERVED, MOST_OBSERVED = 8_000, 100_000
LEAST_STEPS, MOST_STEPS = 50, 1000
# A crowd whose sum no single subject's clipped part can turn round.
N_CROWD = 40
CROWD_RATE = 0.5


@dataclass(frozen=True, kw_only=True)
class StepAudit:
    """bound: of each step on its own. parts: the mean part, in clipping norms, in which each kind of canary arrived."""

    bound: MuBound
    sampler: SamplerTest
    parts: Mapping[str, float]
    n_canaries: int
    n_steps: int

    @property
    def arrived(self) -> bool:
        """Whether every kind's part was seen at all: without it the bound is silent."""
        return all(part > 0.5 for part in self.parts.values())


def audit_steps(
    part: Part,
    settings: PrivateSettings,
    *,
    n_canaries: int = N_CANARIES,
    alpha: float,
    seed: int,
    trainer: Trainer = train_network,
) -> StepAudit:
    """Run the trainer on canaries at the part's noise and rate. The threshold is fixed before the first step."""
    n_steps = _n_steps(part, n_canaries)
    n_absent = max(n_canaries // 4, math.ceil(n_canaries * (2 * part.sample_rate - 1)))
    canaries = Canaries.at_own_places(n_canaries, n_absent=n_absent)
    expected = n_canaries * part.sample_rate * n_steps
    threshold = best_threshold(
        part.mu,
        n_inside=round(expected),
        n_outside=round((n_canaries + n_absent) * n_steps - expected),
        alpha=alpha,
    )
    found = observe(canaries, _plan(part, settings, part.sample_rate, n_steps), settings, trainer=trainer)
    tally = Tally.of(found.inside(), found.outside(), threshold=threshold)
    return StepAudit(
        bound=MuBound.of(tally, part.mu, threshold=threshold, alpha=alpha, seed=seed),
        sampler=sampler_test(found.drawn, part.sample_rate, seed=seed),
        parts=_mean_parts(found),
        n_canaries=n_canaries,
        n_steps=n_steps,
    )


def audit_clipping(
    part: Part, settings: PrivateSettings, *, alpha: float, seed: int, trainer: Trainer = train_network
) -> MuBound:
    """One loud subject against a crowd: a step that clips the sum instead of each subject lets it turn the sum round.

    Clipped apart, the crowd's sum stays negative whoever is there. Half of the subjects are drawn at each step,
    whatever the claimed rate is: clipping knows no rate.
    """
    n_steps = 2 * n_needed(part.mu, excess=1.0, least=150, most=1000)
    plan = _plan(part, settings, CROWD_RATE, n_steps)
    found = observe(Canaries.one_against_many(N_CROWD), plan, settings, trainer=trainer)
    inside = found.drawn[:, 0]
    seen = found.seen[:, 0].astype(np.float64)
    tally = Tally.of(seen[inside], seen[~inside], threshold=0.0)
    # A clipped sum is carried from -1 to 1 by one subject, which doubles mu; in its own unit that is 0 to 1.
    bound = MuBound.of(tally, part.mu, threshold=0.5, alpha=alpha, seed=seed, planted=2.0)
    return replace(bound, threshold=0.0)


def _plan(part: Part, settings: PrivateSettings, rate: float, n_steps: int) -> DpSgdPlan:
    return DpSgdPlan(
        noise_multiplier=part.noise_multiplier,
        max_grad_norm=settings.max_grad_norm,
        sample_rate=rate,
        n_steps=n_steps,
        expected_batch_size=1.0,
    )


def _n_steps(part: Part, n_canaries: int) -> int:
    """As many as the bound needs, whatever the plan's number is: each step is the same code."""
    wanted = n_needed(part.mu, excess=1 / SHORT - 1, least=LEAST_OBSERVED, most=MOST_OBSERVED)
    return min(max(math.ceil(wanted / (n_canaries * part.sample_rate)), LEAST_STEPS), MOST_STEPS)


def _mean_parts(found: Observed) -> dict[str, float]:
    """By kind of canary; 0 where none of a kind was ever drawn."""
    n = found.drawn.shape[1]
    names = [f"{images} image{'s' * (images > 1)} of norm {norm:g}" for images, norm in KINDS]
    means = {}
    for number, name in enumerate(names):
        own = np.arange(number, n, len(names))
        seen = found.seen[:, own][found.drawn[:, own]]
        means[name] = float(seen.mean()) if len(seen) else 0.0
    return means
