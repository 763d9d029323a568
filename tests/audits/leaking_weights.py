"""Generators whose weights several tests attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audits.base import AuditInput, Measurement
from audits.shadows import attack, measuring
from audits.shadows.measuring import Shadows, membership_from_weights
from generators.base import GeneratorCard
from generators.data import ImageSet
from generators.folder import load_card, save_tensors, write_card
from generators.networks.checkpoints import network_tensors
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.runner import train_generator
from generators.scoring.base import NetworkScorer
from generators.scoring.loading import load_scorer

N, N_UNSEEN, SIZE = 60, 120, 16
SMALL_VAE = {"public_steps": 0, "n_steps": 1, "batch_size": 20, "width": 16, "n_latents": 16, "checkpoint_every": 1}
NO_TIME = Shadows(n=3, most_seconds=0.0)


def phantom_arms() -> AuditInput:
    """The synthetic arm is of people whom nobody trains on, but for generators that shall be innocent."""
    cohort = draw_phantoms(n_subjects=2 * N + 2 * N_UNSEEN, size=SIZE, seed=7, max_images=1).images
    ends = np.cumsum([N, N_UNSEEN, N_UNSEEN])
    train, holdout, control, others = (cohort.select(part) for part in np.split(np.arange(len(cohort)), ends))
    return AuditInput(train=train, holdout=holdout, control=control, synthetic=others)


def fewer_steps(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Of references and planted leaks: these images are small."""
    monkeypatch.setattr(attack, "N_STEPS", n)
    monkeypatch.setattr(measuring, "N_STEPS", n)


def named_as_if_of(images: ImageSet, folder: Path) -> Path:
    """The folder, whose card now says that it learned from these images: innocent of them, if it did not."""
    write_card(folder, replace(load_card(folder), data_digest=images.digest))
    return folder


def trained(
    name: str, images: ImageSet, out: Path, config: Mapping[str, object], *, epsilon: float | None = None
) -> GeneratorCard:
    budget = PrivacyBudget.without_privacy(public_n_subjects=N)
    if epsilon:
        budget = PrivacyBudget(target_epsilon=epsilon, public_n_subjects=N, accountant="rdp")
    return train_generator(
        name=name, images=images, budget=budget, config=config, out=out, device="cpu", even_if_drowned=True
    )


def vae_of(images: ImageSet, named: ImageSet, out: Path, *, n_steps: int) -> Path:
    """A folder whose card names `named` and whose weights learned `images` by plain steps: fast, without privacy."""
    trained("vae", named, out, SMALL_VAE)
    scorer = load_scorer(out).taught(images, n_steps=n_steps, seed=0, afresh=True)
    assert isinstance(scorer, NetworkScorer)
    save_tensors(out / "network.safetensors", network_tensors(scorer.network))
    return out


def found_by(data: AuditInput, folder: Path, shadows: Shadows = NO_TIME) -> dict[str, Measurement]:
    measurements = membership_from_weights(replace(data, generator=folder), shadows)
    return {m.name.removeprefix("weights_membership."): m for m in measurements}
