"""The release of `latent-statistics`: reserved, charged, drawn and stored, in this order."""

from __future__ import annotations

from dataclasses import dataclass

from generators.accounting import release_noise, spend_of
from generators.base import Run
from generators.detail.finishing import look_tensors
from generators.detail.look import Look
from generators.folder import save_tensors
from generators.latent.basis import Array, unit_pixels
from generators.latent.design import Design
from generators.latent.release import Bounds, PrivateLatents, Release, Shares, planned_events, release
from generators.latent.settings import LatentStatisticsConfig, affordable, leading_latents, residual_radius
from generators.latent.space import LatentSpace
from generators.privacy import GaussianEvent
from generators.releases.spectrum import release_look
from generators.steps_log import read_log

FILE = "release.safetensors"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What this attempt asks. already, first_step: what killed attempts were charged, and where their steps end.

    n_of_labels: in how many latents labels have covariances of their own. of_look: None where no look is asked for.
    """

    noise_multiplier: float
    shares: Shares
    n_of_labels: int
    of_look: GaussianEvent | None
    already: tuple[GaussianEvent, ...]
    first_step: int

    @property
    def events(self) -> tuple[GaussianEvent, ...]:
        """In the order in which they are recorded; the look is the last."""
        asked = planned_events(self.noise_multiplier, self.shares)
        return asked if self.of_look is None else (*asked, self.of_look)


def release_latent_statistics(
    data: PrivateLatents,
    design: Design,
    space: LatentSpace,
    settings: LatentStatisticsConfig,
    run: Run,
    look: Look | None,
) -> None:
    """Reserve, release, store. Killed attempts count: only what they left of the budget is used."""
    plan = _planned(design, space, settings, run, look_share=0.0 if look is None else settings.spectrum_share)
    _reserve(plan, run)
    noisy = release(
        data,
        design=design,
        bounds=_bounds(plan, space, settings, run.budget.public_n_subjects),
        noise_multiplier=plan.noise_multiplier,
        shares=plan.shares,
        recorder=run.recorder,
        first_step=plan.first_step,
    )
    kept = noisy.tensors
    if look is not None and plan.of_look is not None:
        kept |= _noisy_look(look, plan.of_look, noisy, run, step=plan.first_step + len(plan.events) - 1)
    save_tensors(run.out / FILE, kept)


def _planned(
    design: Design, space: LatentSpace, settings: LatentStatisticsConfig, run: Run, *, look_share: float
) -> Plan:
    """From the log, settings and public numbers. Raises BudgetError where killed attempts left too little."""
    earlier = read_log(run.out)
    already, first_step = ((), 0) if earlier is None else (earlier.events, earlier.n_steps)
    noise_multiplier = release_noise(run.budget, already, share=1 - look_share)
    shares, n_of_labels = affordable(
        settings, design.n_labels, noise_multiplier, run.budget.public_n_subjects, space.n_latents
    )
    return Plan(
        noise_multiplier=noise_multiplier,
        shares=shares,
        n_of_labels=n_of_labels,
        of_look=_look_event(run, already, look_share) if look_share else None,
        already=already,
        first_step=first_step,
    )


def _look_event(run: Run, already: tuple[GaussianEvent, ...], share: float) -> GaussianEvent:
    noise_multiplier = release_noise(run.budget, already, share=share)
    return GaussianEvent(noise_multiplier=noise_multiplier, sample_rate=1.0, steps=1)


def _reserve(plan: Plan, run: Run) -> None:
    """Everything at once, killed attempts among it, before anything is drawn."""
    run.recorder.reserve(
        spend_of(
            (*plan.already, *plan.events),
            delta=run.budget.target_delta,
            accountant=run.budget.accountant,
            privacy_unit=run.images.privacy_unit,
        )
    )


def _bounds(plan: Plan, space: LatentSpace, settings: LatentStatisticsConfig, public_n_subjects: int) -> Bounds:
    """What contributions are clipped to, and the latents that the plan can afford."""
    n_leading = leading_latents(
        plan.noise_multiplier,
        plan.shares.moments,
        public_n_subjects=public_n_subjects,
        at_most=space.n_latents,
    )
    leading, of_labels = space.leading(n_leading), space.leading(plan.n_of_labels)
    return Bounds(
        radius=space.radius,
        residual_radius=residual_radius(space, leading, settings),
        leading=leading,
        spread=space.spread,
        public_n_subjects=public_n_subjects,
        label_radius=residual_radius(space, of_labels, settings),
        of_labels=of_labels,
    )


def _noisy_look(look: Look, event: GaussianEvent, noisy: Release, run: Run, *, step: int) -> dict[str, Array]:
    """The look of the private images, over the number of subjects that the release before it has given."""
    released = release_look(
        look.describe(unit_pixels(run.images).reshape(-1, look.size, look.size)),
        run.images.subjects(),
        radius=look.radius,
        n_noisy=noisy.n_subjects,
        event=event,
        recorder=run.recorder,
        step=step,
    )
    return look_tensors(released, look)
