"""The release of `latent-statistics`: reserved, charged, drawn and stored, in this order."""

from __future__ import annotations

import numpy as np

from generators.accounting import release_noise, spend_of
from generators.base import Run
from generators.detail.finishing import look_tensors
from generators.detail.look import Look
from generators.folder import save_tensors
from generators.latent.basis import unit_pixels
from generators.latent.design import Design
from generators.latent.release import Bounds, PrivateLatents, planned_events, release
from generators.latent.settings import LatentStatisticsConfig, affordable, leading_latents, residual_radius
from generators.latent.space import LatentSpace
from generators.privacy import GaussianEvent
from generators.releases.spectrum import release_look
from generators.steps_log import read_log

FILE = "release.safetensors"


def release_latent_statistics(
    data: PrivateLatents,
    design: Design,
    space: LatentSpace,
    settings: LatentStatisticsConfig,
    run: Run,
    look: Look | None,
) -> None:
    """Reserve, release, store. Killed attempts count: only what they left of the budget is used."""
    earlier = read_log(run.out)
    already, first_step = ((), 0) if earlier is None else (earlier.events, earlier.n_steps)
    budget = run.budget
    asked = 0.0 if look is None else settings.spectrum_share
    noise_multiplier = release_noise(budget, already, share=1 - asked)
    shares, n_of_labels = affordable(
        settings, design.n_labels, noise_multiplier, budget.public_n_subjects, space.n_latents
    )
    planned = list(planned_events(noise_multiplier, shares))
    if asked:
        of_look = release_noise(budget, already, share=asked)
        planned.append(GaussianEvent(noise_multiplier=of_look, sample_rate=1.0, steps=1))
    run.recorder.reserve(
        spend_of(
            (*already, *planned),
            delta=budget.target_delta,
            accountant=budget.accountant,
            privacy_unit=run.images.privacy_unit,
        )
    )
    n_leading = leading_latents(
        noise_multiplier,
        shares.moments,
        public_n_subjects=budget.public_n_subjects,
        at_most=space.n_latents,
    )
    leading, of_labels = space.leading(n_leading), space.leading(n_of_labels)
    noisy = release(
        data,
        design=design,
        bounds=Bounds(
            radius=space.radius,
            residual_radius=residual_radius(space, leading, settings),
            leading=leading,
            spread=space.spread,
            public_n_subjects=budget.public_n_subjects,
            label_radius=residual_radius(space, of_labels, settings),
            of_labels=of_labels,
        ),
        noise_multiplier=noise_multiplier,
        shares=shares,
        recorder=run.recorder,
        first_step=first_step,
    )
    kept = noisy.tensors
    if look is not None:
        kept |= look_tensors(
            release_look(
                look.describe(unit_pixels(run.images).reshape(-1, look.size, look.size)),
                data.subjects,
                radius=look.radius,
                n_noisy=float(np.trace(noisy.design[: design.n_labels, : design.n_labels])),
                event=planned[-1],
                recorder=run.recorder,
                step=first_step + len(planned) - 1,
            ),
            look,
        )
    save_tensors(run.out / FILE, kept)
