"""Would noise drown the signal? Asked before anything is spent, and answered from public numbers alone.

Both rules use mu = 1 / noise multiplier of one Gaussian release under the budget; n is the declared number.

- Statistics released once: the mean of a label's n / L latents, d coordinates of unit spread clipped to radius sqrt(d),
  has noise of about sqrt(d) L / (mu n sqrt(share)) in each coordinate, in units of the spread between people.
- Gradients: over all steps of a run the weights move by at most n mu clipping norms where all subjects pull the same
  way, against noise of sqrt(P) for P trained parameters, whatever batch and steps: T full batches pull T n against
  noise of sqrt(T) * sqrt(T) / mu, and Poisson draws do no better (the central limit of Dong, Roth and Su 2022, where
  mu = rate sqrt(T (exp(1 / noise^2) - 1)) >= rate sqrt(T) / noise).

The limits are conservative: what they refuse is hopeless, what they pass may still be poor (see `planning`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from generators.accounting import gaussian_epsilon, noise_multiplier_for
from generators.base import BudgetError
from generators.privacy import PrivacyBudget
from generators.registry import get_generator

if TYPE_CHECKING:
    from generators.latent.settings import LatentStatisticsConfig

STATISTICS = "latent-statistics"
NOMINAL_PARAMETERS = 100_000  # of a small network; a larger one drowns sooner
DROWNED_ERROR = 4.0  # noise of a label's mean, in spreads between people
# Measured: at 0.32 (409 people, two labels, epsilon 1) .05 of AUC was lost (generators/README.md).
ENOUGH_ERROR = 0.35
DROWNED_PULL = 5 / math.sqrt(NOMINAL_PARAMETERS)
ENOUGH_PULL = 60 / math.sqrt(NOMINAL_PARAMETERS)


class DrownedError(BudgetError):
    """A budget so small that the run would spend it on noise."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """How a budget stands against its noise.

    ratio: signal over noise. needed: the ratio below which the run is refused. sentence: both, in words.
    """

    ratio: float
    needed: float
    sentence: str

    @property
    def drowned(self) -> bool:
        return self.ratio < self.needed


def mean_error(budget: PrivacyBudget, *, n_labels: int, settings: object | None = None) -> float:
    """The noise of a label's mean in each coordinate, in spreads between people. Raises BudgetError.

    settings: of a generator that releases statistics; without any the defaults of `latent-statistics`.
    """
    n_latents, share = _released(default_statistics() if settings is None else settings, n_labels)
    per_label = budget.public_n_subjects / max(1, n_labels)
    return noise_of(budget) * math.sqrt(n_latents / share) / per_label


def count_noise(budget: PrivacyBudget) -> float:
    """The standard deviation of a label's count in subjects, with the defaults of `latent-statistics`."""
    settings = default_statistics()
    bound = 1 + 2 * settings.group_weight**2  # of a subject's design matrix, with sex and age group
    return noise_of(budget) * bound / math.sqrt(settings.counts_share)


def default_statistics() -> LatentStatisticsConfig:
    return cast("LatentStatisticsConfig", get_generator(STATISTICS).config_class())


def _released(settings: object, n_labels: int) -> tuple[int, float]:
    """The latents whose means are released, at most, and the share of the budget that they get.

    Other releases than those of `latent-statistics` have no texture, and one release gets the whole budget.
    """
    n_latents = int(getattr(settings, "n_components", default_statistics().n_components))
    if not hasattr(settings, "shares"):
        return n_latents, 1.0
    chosen = cast("LatentStatisticsConfig", settings)
    has_texture = chosen.basis != "dct" and chosen.detail != "none"
    rest = 1 - chosen.spectrum_share * has_texture
    return n_latents + chosen.n_texture * has_texture, chosen.shares(n_labels).sums * rest


def pull(budget: PrivacyBudget) -> float:
    """The largest common pull of all subjects on the weights over the noise in them. Raises BudgetError."""
    return budget.public_n_subjects / noise_of(budget) / math.sqrt(NOMINAL_PARAMETERS)


def noise_of(budget: PrivacyBudget) -> float:
    """1 / mu: the noise multiplier of one Gaussian release under the whole budget; exact, and cheap."""
    return noise_multiplier_for(
        target_epsilon=budget.target_epsilon,
        delta=budget.target_delta,
        sample_rate=1.0,
        steps=1,
        accountant="prv",
    )


def signal_of(budget: PrivacyBudget, settings: object, *, n_labels: int) -> Signal:
    """By the rule that fits the settings: those of the private loop have a `max_grad_norm`. Raises BudgetError."""
    if hasattr(settings, "max_grad_norm"):
        found = pull(budget)
        return Signal(
            ratio=found,
            needed=DROWNED_PULL,
            sentence=f"all gradients together are at most {found:.2%} of the noise in the weights",
        )
    error = mean_error(budget, n_labels=n_labels, settings=settings)
    return Signal(
        ratio=1 / error,
        needed=1 / DROWNED_ERROR,
        sentence=f"the noise of a label's mean is {error:.3g} times the spread between people",
    )


def require_signal(budget: PrivacyBudget, settings: object, *, n_labels: int) -> None:
    """Refuse, before spending, a run whose noise would drown the signal. Raises DrownedError with the numbers."""
    if not budget.is_private:
        return
    found = signal_of(budget, settings, n_labels=n_labels)
    if found.drowned:
        n, epsilon = budget.public_n_subjects, budget.target_epsilon
        factor = found.needed / found.ratio
        enough = epsilon_for(noise=noise_of(budget) / factor, delta=budget.target_delta)
        raise DrownedError(
            f"noise would drown the signal at {epsilon:g} for {n} subjects: {found.sentence}",
            where="epsilon",
            remedy=f"from about {math.ceil(n * factor)} subjects or epsilon {_up(enough)} on it is worth a try",
        )


def epsilon_for(*, noise: float, delta: float) -> float:
    """The epsilon of one Gaussian release with this noise multiplier."""
    return gaussian_epsilon(1 / noise, delta)


def _up(value: float) -> str:
    """To two digits, upwards."""
    step = 10 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / step) * step:.3g}"
