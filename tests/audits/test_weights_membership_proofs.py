"""The whole of two proofs on attacks of weights: leak-free splits, and a VAE that the trainer itself overfitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from audits.base import AuditInput, Status
from audits.privacy.membership_inference import membership_inference
from audits.sampling import some_of
from audits.shadows.attack import Arms, loss_attack, ratio_attack
from audits.shadows.training import plan_shadows, train_shadows
from audits.stats import Doubles
from generators.base import CellCount
from generators.data import ImageSet
from generators.folder import load_card
from generators.phantoms import draw_phantoms
from generators.privacy import PrivacyBudget
from generators.runner import sample_generator, train_generator
from generators.scoring.base import ImageScorer
from generators.scoring.loading import load_scorer
from tests.audits.arms import statuses
from tests.audits.leaking_weights import N_UNSEEN, N, found_by, trained, vae_of

N_DEALS = 1000


@dataclass
class Remembered:
    """A scorer whose answers on a pool are remembered, so that a thousand deals of the same people cost one."""

    inner: ImageScorer
    pool: ImageSet
    known: dict[str, Remembered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scores = self.inner.scores(self.pool)
        self.table = {image.tobytes(): score for image, score in zip(self.pool.images, scores, strict=True)}

    def scores(self, images: ImageSet) -> Doubles:
        return np.array([self.table[image.tobytes()] for image in images.images])

    def taught(self, images: ImageSet, *, n_steps: int, seed: int, afresh: bool = False) -> Remembered:
        key = f"{images.digest} {afresh}"
        if key not in self.known:
            inner = self.inner.taught(images, n_steps=n_steps, seed=seed, afresh=afresh)
            self.known[key] = Remembered(inner, self.pool)
        return self.known[key]


@pytest.mark.proofs
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", ["vae", "latent-statistics"])
def test_on_leak_free_splits_the_interval_covers_one_half(family: str, tmp_path: Path) -> None:
    """One generator, its references and shadows; 1,000 deals of 240 people whom none of them saw.

    Of 200 deals alone a true coverage of 95 % falls below 93 % once in twelve times: 1,000 are judged.
    """
    cohort = draw_phantoms(n_subjects=N + N_UNSEEN + 240, size=16, seed=11, max_images=1).images
    trained_on, control, pool = (cohort.select(p) for p in np.split(np.arange(len(cohort)), [N, N + N_UNSEEN]))
    if family == "vae":
        folder = vae_of(trained_on, trained_on, tmp_path / "g", n_steps=300)
        halves = [control.select(some_of(control, N, seed=k)) for k in range(4)]
        shadows = [load_scorer(folder).taught(half, n_steps=100, seed=0, afresh=True) for half in halves]
    else:
        folder = tmp_path / "g"
        trained(family, trained_on, folder, {}, epsilon=8.0)
        planned = plan_shadows(load_card(folder), control, tmp_path, n=8, seed=0)
        shadows = [load_scorer(place) for place in train_shadows(planned)]
    target = Remembered(load_scorer(folder), pool)
    known = [Remembered(shadow, pool) for shadow in shadows]
    covered: dict[str, list[bool]] = {"loss": [], "lira": []}
    for seed in range(N_DEALS):
        member = np.random.default_rng(seed).permutation(240) < N_UNSEEN
        arms = Arms(member=pool.select(member), other=pool.select(~member))
        for name, found in (
            ("loss", loss_attack(target, target, arms, control, seed=0)),
            ("lira", ratio_attack(target, target, arms, known, seed=0)),
        ):
            low, high = found.interval(found.auc)
            covered[name].append(low <= 0.5 <= high)
    for n in (200, N_DEALS):
        print(f"{family}, {n} deals:", {name: float(np.mean(rows[:n])) for name, rows in covered.items()})  # noqa: T201
    assert min(np.mean(rows) for rows in covered.values()) >= 0.93


@pytest.mark.proofs
@pytest.mark.timeout(3600)
def test_an_overfitted_vae_passes_the_audits_of_samples_and_leaks_through_its_weights(
    people: ImageSet, tmp_path: Path
) -> None:
    """Trained by the trainer itself, without privacy, on 120 people for 320 epochs."""
    train, holdout, control = (people.select(np.arange(n, n + N_UNSEEN)) for n in (0, 240, 360))
    config = {
        "public_steps": 0, "n_steps": 1200, "batch_size": 32, "width": 16, "n_latents": 32, "learning_rate": 2e-3,
        "average": 0.98, "microbatch": 32, "checkpoint_every": 1200,
    }  # fmt: skip
    budget = PrivacyBudget.without_privacy(public_n_subjects=N_UNSEEN)
    train_generator(name="vae", images=train, budget=budget, config=config, out=tmp_path / "g", device="cpu")
    labels, counts = np.unique(train.label, return_counts=True)  # type: ignore[arg-type]
    cells = [CellCount(label=str(label), n=int(2 * n)) for label, n in zip(labels, counts, strict=True)]
    synthetic = sample_generator(tmp_path / "g", cells)
    data = AuditInput(train=train, holdout=holdout, control=control, synthetic=synthetic, generator=tmp_path / "g")
    copies = {
        name: status for audit in ("nearest_copies", "memorisation") for name, status in statuses(data, audit).items()
    }
    nearest, density = membership_inference(data)
    found = found_by(data, tmp_path / "g")["loss"]
    print(copies, nearest.value, nearest.details, density.value, density.details)  # noqa: T201 - figures of the report
    print(found.value, found.positive_control, found.negative_control, found.details)  # noqa: T201 - as above
    assert found.status is Status.DETECTED
    assert float(found.details["tpr_at_1pct"]) >= 0.95  # type: ignore[arg-type]
    assert set(copies.values()) == {"not_detected"}
    assert all(float(m.details["tpr_at_1pct"]) < 0.2 for m in (nearest, density))  # type: ignore[arg-type]
