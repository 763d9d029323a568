"""What to run for a cohort of this size under this budget, and what to expect of it, from public numbers alone.

What to expect comes from `record.json`: figures that were measured on known sets, never a guess. Where
nothing near was measured the plan says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from generators.base import ConfigError
from generators.plans.drowning import DROWNED_ERROR, ENOUGH_ERROR, count_noise, epsilon_for, mean_error, noise_of
from generators.plans.record import Expectation, RecordRow, expectation_of, load_record
from generators.privacy import PrivacyBudget
from generators.registry import GENERATORS

FEW_SUBJECTS = 2000
ONE_SHOT = "latent-statistics"
NETWORK = "vae"
N_LABELS = 2


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be planned for. All numbers are declared, none is counted.

    n_images: of all subjects together. size: pixels a side. minutes: the longest that training may take.
    device: cpu or cuda.
    """

    budget: PrivacyBudget
    n_images: int | None = None
    size: int = 64
    n_labels: int = N_LABELS
    minutes: float | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        subjects = self.budget.public_n_subjects
        if self.n_images is not None and self.n_images < subjects:
            raise ConfigError(
                f"{self.n_images} images of {subjects} subjects", where="images", remedy="give an image a subject"
            )
        if not 8 <= self.size <= 1024:
            raise ConfigError(f"is {self.size}", where="size", remedy="choose 8 to 1024 pixels")
        if self.n_labels < 1:
            raise ConfigError(f"is {self.n_labels}", where="labels", remedy="give 1 or more")
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError(f"is {self.minutes}", where="minutes", remedy="give a number above 0")
        if self.device not in {"cpu", "cuda"}:
            raise ConfigError(f"is {self.device!r}", where="device", remedy="choose cpu or cuda")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recommendation.

    settings: for --set. noise_multiplier: of one release under the whole budget. count_noise: standard deviation of a
    label's noisy count, in subjects. label_error: noise of a label's mean, in spreads between people.
    enough_subjects: whether that is ENOUGH_ERROR at most; needed_subjects, needed_epsilon: either of which makes it so.
    expected: of the recommended generator, None where nothing near was measured. others: of the other generators.
    """

    generator: str
    settings: Mapping[str, object]
    noise_multiplier: float
    count_noise: float
    label_error: float
    enough_subjects: bool
    needed_subjects: int
    needed_epsilon: float
    expected: Expectation | None
    reason: str
    others: Mapping[str, Expectation] = field(default_factory=dict)


def recommend(wish: Wish, record: Sequence[RecordRow] | None = None) -> Plan:
    """The generator, its settings and what to expect. record: else the one that ships. Raises BudgetError."""
    budget = wish.budget
    rows = load_record() if record is None else record
    measured = _expectations(wish, rows)
    in_time = {name: found for name, found in measured.items() if _fits(found, wish.minutes)}
    name = max(in_time, key=lambda name: in_time[name].quality, default=_unmeasured_choice(budget))
    error = mean_error(budget, n_labels=wish.n_labels)
    n, noise = budget.public_n_subjects, noise_of(budget)
    enough = error <= ENOUGH_ERROR
    needed_noise = noise * ENOUGH_ERROR / error
    needed_n, needed_epsilon = n * error / ENOUGH_ERROR, epsilon_for(noise=needed_noise, delta=budget.target_delta)
    return Plan(
        generator=name,
        settings=_settings(name, wish, measured.get(name)),
        noise_multiplier=noise,
        count_noise=count_noise(budget),
        label_error=error,
        enough_subjects=enough,
        needed_subjects=n if enough else math.ceil(needed_n),
        needed_epsilon=budget.target_epsilon if enough else needed_epsilon,
        expected=measured.get(name),
        reason=_reason(wish, name, measured, in_time),
        others={other: found for other, found in measured.items() if other != name},
    )


def _expectations(wish: Wish, rows: Sequence[RecordRow]) -> dict[str, Expectation]:
    found = {
        name: expectation_of(
            rows,
            row=name,
            n_subjects=wish.budget.public_n_subjects,
            epsilon=wish.budget.target_epsilon,
            size=wish.size,
            device=wish.device,
        )
        for name in GENERATORS
    }
    return {name: expected for name, expected in found.items() if expected is not None}


def _fits(found: Expectation, minutes: float | None) -> bool:
    return minutes is None or (found.seconds is not None and found.seconds <= 60 * minutes)


def _unmeasured_choice(budget: PrivacyBudget) -> str:
    return ONE_SHOT if budget.public_n_subjects <= FEW_SUBJECTS else NETWORK


def _settings(name: str, wish: Wish, expected: Expectation | None) -> dict[str, object]:
    """Those of the measured rows; of a network also as many views as a subject has images."""
    settings: dict[str, object] = {} if expected is None else dict(expected.settings)
    n = wish.budget.public_n_subjects
    if name == NETWORK and wish.n_images:
        settings.setdefault("views", max(1, min(8, round(wish.n_images / n))))
    return settings


def _reason(wish: Wish, name: str, measured: Mapping[str, Expectation], in_time: Mapping[str, Expectation]) -> str:
    if name in in_time:
        return f"the best of {len(in_time)} measured near this size and budget" + (
            " within the time" if wish.minutes is not None else ""
        )
    late = "measured ones take longer; " if measured else ""
    n = wish.budget.public_n_subjects
    return late + (
        f"statistics released once beat gradient noise up to about {FEW_SUBJECTS} subjects"
        if n <= FEW_SUBJECTS
        else "with this many subjects a network can be trained by DP-SGD; compare both"
    )


def plan_lines(plan: Plan, wish: Wish) -> list[str]:
    """The plan in words."""
    budget = wish.budget
    settings = "".join(f" --set {key}={value}" for key, value in plan.settings.items())
    noise = (
        f"noise: {plan.noise_multiplier:.3g} times one subject's contribution; a label's count is off by about "
        f"{plan.count_noise:.0f} subjects, its mean by {plan.label_error:.2g} spreads between people"
    )
    lines = [
        f"generator: {plan.generator}{settings} ({plan.reason})",
        noise,
        f"expected: {_in_words(plan.expected)}",
        *(f"  {name}: {_in_words(found)}" for name, found in plan.others.items()),
    ]
    if not plan.enough_subjects:
        epsilon = math.ceil(plan.needed_epsilon * 10) / 10
        lines.append(
            f"TOO SMALL: {budget.public_n_subjects} subjects are too few for epsilon {budget.target_epsilon:g} and "
            f"{wish.n_labels} labels: about {plan.needed_subjects} subjects, or epsilon {epsilon:g}, "
            "would be enough; merging labels helps too"
            + ("; `train` refuses it" if plan.label_error > DROWNED_ERROR else "")
        )
    return lines


def _in_words(found: Expectation | None) -> str:
    if found is None:
        return "not measured near this size and budget"
    parts = []
    if found.accuracy_ratio is not None:
        parts.append(f"{found.accuracy_ratio:.0%} of the balanced accuracy of real images")
    if found.auc_difference is not None:
        parts.append(f"AUC {found.auc_difference:+.3f} against real images")
    parts.append("time not measured" if found.seconds is None else f"about {found.seconds:.0f} s")
    return f"{', '.join(parts)}; by the record of {found.source}"
