"""What to run for a cohort of this size under this budget, and what it will cost, from public numbers alone."""

from __future__ import annotations

from dataclasses import dataclass

from generators.accounting import noise_multiplier_for
from generators.privacy import PrivacyBudget

FEW_SUBJECTS = 2000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recommendation. count_noise: standard deviation of a label's noisy count, in subjects."""

    generator: str
    noise_multiplier: float
    count_noise: float
    enough_subjects: bool
    reason: str


def recommend(budget: PrivacyBudget) -> Plan:
    """The generator for the declared number of subjects. Raises BudgetError."""
    noise = noise_multiplier_for(
        target_epsilon=budget.target_epsilon,
        delta=budget.target_delta,
        sample_rate=1.0,
        steps=1,
        accountant=budget.accountant,
    )
    n = budget.public_n_subjects
    # A label's noisy mean has error noise * R / (n / labels) in each of d coordinates with R about sqrt(d): relative
    # to the unit spread of a latent it is below one half from about 4 * noise * sqrt(32) subjects a label on.
    needed = round(2 * 4 * noise * 32**0.5)
    enough = n >= needed
    count_noise = noise * 1.32 / 0.05**0.5
    reason = (
        f"statistics released once beat gradient noise up to about {FEW_SUBJECTS} subjects"
        if n <= FEW_SUBJECTS
        else "with this many subjects a network can be trained by DP-SGD; compare both"
    )
    if not enough:
        reason = f"{n} subjects are too few for epsilon {budget.target_epsilon:g}: at least {needed} are needed"
    return Plan(
        generator="latent-statistics" if n <= FEW_SUBJECTS else "vae",
        noise_multiplier=noise,
        count_noise=count_noise,
        enough_subjects=enough,
        reason=reason,
    )
