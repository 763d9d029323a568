"""Epsilon from what was run, and noise from the epsilon that is allowed.

The mechanism is always the Gaussian on a Poisson draw of subjects, adjacency is add or remove one subject.

- `rdp`: Renyi accounting (Mironov 2017; conversion of Balle et al. 2020), by Opacus.
- `prv`: composition of privacy loss random variables (Gopi, Lee, Wutschitz 2021), by Opacus. Where every sample rate
  is 1 the composed variable is a Gaussian and has a closed form (Balle and Wang 2018, theorem 8), which is exact and
  used in place of the numerical one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr

from generators.base import BudgetError
from generators.privacy import ACCOUNTANTS, NO_ACCOUNTANT, NO_UNIT, GaussianEvent, PrivacyBudget, PrivacySpend

RDP_ORDERS = (*(1 + x / 10 for x in range(1, 100)), *range(11, 64), 80, 100, 128, 192, 256, 512, 1024, 2048)
LARGEST_NOISE = 1e5
SMALLEST_NOISE = 0.05
# Numerical errors that PRV is asked for: at first, and where that is much of a small epsilon.
LEAST_ERROR, FINEST_ERROR = 1e-3, 1e-4
# A release that has to be paid again from less than a ninth of its budget's precision would be little but noise.
MOST_NOISE_AGAIN = 3.0


def merge_events(events: Iterable[GaussianEvent]) -> tuple[GaussianEvent, ...]:
    """Equal mechanisms summed into one event, in the order in which they first appear."""
    steps: dict[tuple[float, float], int] = {}
    for event in events:
        key = (event.noise_multiplier, event.sample_rate)
        steps[key] = steps.get(key, 0) + event.steps
    return tuple(
        GaussianEvent(noise_multiplier=noise, sample_rate=rate, steps=n) for (noise, rate), n in steps.items() if n
    )


def epsilon_of(events: Iterable[GaussianEvent], delta: float, accountant: str) -> float:
    """The epsilon at `delta` of all events together, 0 for none, infinity where an event added no noise.

    Raises BudgetError for an unknown accountant or an epsilon that the accountant cannot compute.
    """
    if accountant == NO_ACCOUNTANT:
        return math.inf
    if accountant not in ACCOUNTANTS:
        raise BudgetError(f"is {accountant!r}", where="accountant", remedy=f"choose one of {', '.join(ACCOUNTANTS)}")
    merged = merge_events(event for event in events if event.sample_rate > 0)
    if not merged:
        return 0.0
    if any(event.noise_multiplier <= 0 for event in merged):
        return math.inf
    return _epsilon(merged, delta, accountant)


@lru_cache(maxsize=512)
def _epsilon(events: tuple[GaussianEvent, ...], delta: float, accountant: str) -> float:
    if accountant == "rdp":
        return _rdp_epsilon(events, delta)
    if all(event.sample_rate == 1 for event in events):
        return gaussian_epsilon(math.sqrt(sum(event.steps / event.noise_multiplier**2 for event in events)), delta)
    return _prv_epsilon(events, delta)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Epsilon of a Gaussian mechanism of sensitivity mu and unit noise (Balle and Wang 2018, theorem 8)."""

    def excess(epsilon: float) -> float:
        return gaussian_log_delta(mu, epsilon) - math.log(delta)

    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 0.0, high, xtol=1e-10))


def gaussian_log_delta(mu: float, epsilon: float) -> float:
    """log delta = log(Phi(mu/2 - e/mu) - exp(e) Phi(-mu/2 - e/mu)), in logarithms so that nothing overflows."""
    first = float(log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    return first + math.log1p(-math.exp(min(second - first, -1e-16)))


def _history(events: Sequence[GaussianEvent]) -> list[tuple[float, float, int]]:
    return [(event.noise_multiplier, event.sample_rate, event.steps) for event in events]


def _rdp_epsilon(events: Sequence[GaussianEvent], delta: float) -> float:
    from opacus.accountants import RDPAccountant  # noqa: PLC0415 (loads torch; planning does not need it)

    accountant = RDPAccountant()
    accountant.history = _history(events)
    with warnings.catch_warnings():
        # The bound is valid at every order; the warning only says that one further out could be tighter.
        warnings.filterwarnings("ignore", message="Optimal order is the")
        return max(0.0, float(accountant.get_epsilon(delta=delta, alphas=list(RDP_ORDERS))))


def _prv_epsilon(events: Sequence[GaussianEvent], delta: float) -> float:
    error = min(0.01, max(_rdp_epsilon(events, delta) / 400, LEAST_ERROR))
    epsilon = _prv_within(events, delta, error)
    if error > max(epsilon / 150, FINEST_ERROR):  # Renyi's answer, which the error came from, was far too large
        epsilon = _prv_within(events, delta, max(epsilon / 300, FINEST_ERROR))
    return epsilon


def _prv_within(events: Sequence[GaussianEvent], delta: float, error: float) -> float:
    """An upper bound on epsilon, too large by `error` or a little more."""
    from opacus.accountants import PRVAccountant  # noqa: PLC0415 (as above)

    accountant = PRVAccountant()
    accountant.history = _history(events)
    try:
        # log(0) is meant at sample rate 1, and exp(t) may overflow far out in the tail, where the mass is nil.
        with warnings.catch_warnings(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            warnings.filterwarnings("ignore", message="Optimal order is the")
            # Opacus itself refuses a mean that is off by half a cell of its grid, which is what this warns of.
            warnings.filterwarnings("ignore", message="The integral is probably divergent")
            epsilon = float(accountant.get_epsilon(delta=delta, eps_error=error))
    except (RuntimeError, ValueError, MemoryError) as failure:
        raise _not_computable(str(failure)) from failure
    if not math.isfinite(epsilon):
        raise _not_computable("not finite")
    return epsilon


def _not_computable(why: str) -> BudgetError:
    return BudgetError(f"prv cannot compute it ({why})", where="epsilon", remedy="use accountant rdp")


def noise_multiplier_for(
    *,
    target_epsilon: float,
    delta: float,
    sample_rate: float,
    steps: int,
    accountant: str,
    already: Sequence[GaussianEvent] = (),
) -> float:
    """The least noise multiplier (to 0.2 %) with which `steps` steps after the events `already` stay in the budget.

    0 for a reference without privacy. Raises BudgetError where the budget is already spent or too small for any noise.
    """

    if accountant == NO_ACCOUNTANT:
        return 0.0

    def within(noise: float) -> bool:
        if noise <= SMALLEST_NOISE:
            return False
        event = GaussianEvent(noise_multiplier=noise, sample_rate=sample_rate, steps=steps)
        return epsilon_of((*already, event), delta, accountant) <= target_epsilon

    before = epsilon_of(already, delta, accountant)
    if before >= target_epsilon:
        raise _spent(before, target_epsilon)
    # Renyi's answer is never below PRV's, is cheap, and keeps PRV from noise so small that its grid explodes.
    high, pace = 1.0, 2.0
    if accountant == "prv" and sample_rate < 1:
        high, pace = _noise_by_rdp(target_epsilon, delta, sample_rate, steps, already), 1.25
    while not within(high):
        high *= pace
        if high > LARGEST_NOISE:
            raise BudgetError(f"{target_epsilon:g} is too small", where="epsilon", remedy="allow a larger epsilon")
    low = high / pace
    while within(low):
        low, high = low / pace, low
    while high / low > 1.002:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if within(middle) else (middle, high)
    return high


def release_noise(budget: PrivacyBudget, already: Sequence[GaussianEvent] = (), *, share: float = 1.0) -> float:
    """The noise multiplier of one release with what earlier attempts, killed and charged, left of the budget.

    share: of the whole release's precision, sigma^-2, that this one takes; what is left of the budget is for others.
    Raises BudgetError where they left so little that the release would be little but noise.
    """

    def noise(already: Sequence[GaussianEvent]) -> float:
        return noise_multiplier_for(
            target_epsilon=budget.target_epsilon,
            delta=budget.target_delta,
            sample_rate=1.0,
            steps=1,
            accountant=budget.accountant,
            already=already,
        )

    found = noise(already)
    if already and found > MOST_NOISE_AGAIN * noise(()):
        before = epsilon_of(already, budget.target_delta, budget.accountant)
        raise _spent(before, budget.target_epsilon)
    return found / math.sqrt(share)


def _spent(before: float, target: float) -> BudgetError:
    return BudgetError(
        f"epsilon {before:.4g} of {target:g} is already spent",
        where="budget",
        remedy="allow a larger epsilon or stop here",
    )


def _noise_by_rdp(
    target_epsilon: float, delta: float, sample_rate: float, steps: int, already: Sequence[GaussianEvent]
) -> float:
    """A noise multiplier to start from: Renyi's, or 1 where Renyi's looser count finds the budget spent already."""
    if epsilon_of(already, delta, "rdp") >= target_epsilon:
        return 1.0
    return noise_multiplier_for(
        target_epsilon=target_epsilon,
        delta=delta,
        sample_rate=sample_rate,
        steps=steps,
        accountant="rdp",
        already=already,
    )


def spend_of(events: Iterable[GaussianEvent], *, delta: float, accountant: str, privacy_unit: str) -> PrivacySpend:
    """The spend that these events are, epsilon computed by the named accountant; without one, the unit is `none`."""
    merged = merge_events(events)
    return PrivacySpend(
        spent_epsilon=epsilon_of(merged, delta, accountant),
        delta=delta,
        accountant=accountant,
        events=merged,
        privacy_unit=NO_UNIT if accountant == NO_ACCOUNTANT else privacy_unit,
    )


def compose_spends(spends: Sequence[PrivacySpend], *, delta: float, accountant: str) -> PrivacySpend:
    """What several runs on one cohort spent together, at one delta and by one accountant (privacy.md 8).

    The unit is `record` as soon as one run counted records, `none` as soon as one protected nobody. Raises BudgetError
    where adjacencies differ.
    """
    adjacencies = {spend.adjacency for spend in spends}
    if len(adjacencies) > 1:
        raise BudgetError(
            f"runs of adjacency {', '.join(sorted(adjacencies))} do not compose",
            where="spends",
            remedy="account them apart",
        )
    units = {spend.privacy_unit for spend in spends}
    unit = NO_UNIT if NO_UNIT in units else "subject" if units <= {"subject"} else "record"
    events = [event for spend in spends for event in spend.events]
    return spend_of(events, delta=delta, accountant=accountant, privacy_unit=unit)
