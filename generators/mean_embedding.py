"""`mean-embedding`: one noisy release of mean random features, then a network trained to match it, for free.

DP-MERF (Harder, Adamczewski and Park 2021) with the subject as its unit (`embedding_release`). Features are those of
latents in a public basis; with `whitening` 0 and many components their kernel is that of pixels, as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from generators.accounting import release_noise, spend_of
from generators.base import CellCount, GeneratorCard, Progress, Run
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.detail.steps import add_phantom_detail
from generators.folder import load_card, load_tensors, save_tensors
from generators.latent.basis import PublicBasis, fit_basis, unit_pixels
from generators.latent.space import phantoms_fit
from generators.networks.checkpoints import load_network, network_tensors, read_tensors
from generators.networks.tensors import any_conditions, n_conditions, one_hot, seeded
from generators.privacy import GaussianEvent, StepRecord
from generators.public.images import public_entry, public_or_phantoms
from generators.releases.embedding import (
    Embedding,
    FourierFeatures,
    Words,
    draw_features,
    embedding_of,
    noisy_sums,
    subject_sums,
)
from generators.steps_log import read_log

NAME = "mean-embedding"
RELEASE = "release.safetensors"
BASIS = "basis.safetensors"
WEIGHTS = "network.safetensors"
PHASE = "embedding"
BATCH = 256
N_NOISE = 16


@dataclass(frozen=True, kw_only=True)
class MeanEmbeddingConfig:
    """Settings. The budget bounds epsilon whatever is chosen; weights enter the bound that noise is scaled to."""

    n_components: int = setting(32, "directions of the public latent space", low=2, high=512)
    whitening: float = setting(
        1.0, "power of the public deviation that each latent is divided by, 0 to 1", low=0, high=1
    )
    n_frequencies: int = setting(500, "random frequencies; each gives a cosine and a sine", low=1, high=100_000)
    kernel_width: float = setting(1.0, "the kernel's width, in median distances of public images", low=0.01, high=100)
    count_weight: float = setting(
        0.2, "weight of the counts against features in the shared bound", low=0.01, high=1, changes_privacy=True
    )
    group_weight: float = setting(
        0.4, "weight of sex and age against the label in the shared bound", low=0.05, high=1, changes_privacy=True
    )
    public_steps: int = setting(400, "network steps towards the public embedding, before the private one", low=0)
    n_steps: int = setting(1200, "network steps towards the released embedding, free", low=1)
    learning_rate: float = setting(2e-3, "Adam's rate", low=1e-7, high=1)
    width: int = setting(128, "units of a layer of the network", low=8, high=4096)
    detail: bool = setting(
        True, "add detail of phantoms to what the latent space expresses (grey images of 16 to 512 pixels)"
    )
    labels: str = setting("", "the public label vocabulary, comma-separated; empty: the cohort's own words")


class LatentNetwork(nn.Module):
    """Noise [n, N_NOISE] and conditions [n, c] to latents [n, d]."""

    def __init__(self, *, n_conditions: int, n_components: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(N_NOISE + n_conditions, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, n_components),
        )

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        latents: Tensor = self.layers(torch.cat([noise, conditions], dim=1))
        return latents


class MeanEmbedding:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = MeanEmbeddingConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. A run killed between record and release is charged and has to be paid again."""
        settings = build_config(MeanEmbeddingConfig, run.config)
        settings = replace(settings, detail=settings.detail and phantoms_fit(run.images))
        words = _words(settings, Vocabulary.of(run.images, settings.labels))
        conditions = one_hot(words.vocabulary, words.vocabulary.numbers(run.images))
        public = public_or_phantoms(run.public, run.images)
        basis = fit_basis(public, n_components=settings.n_components, radius_quantile=1.0, whitening=settings.whitening)
        latents = basis.encode(unit_pixels(public))
        features = draw_features(
            latents, n_frequencies=settings.n_frequencies, width=settings.kernel_width, seed=run.seed
        )
        if not (run.resume and (run.out / RELEASE).exists()):
            save_tensors(run.out / BASIS, asdict(basis) | {"radius": np.array(basis.radius)})
            _charge_and_release(run, basis, features, conditions, words)
        shown = one_hot(words.vocabulary, words.vocabulary.known_numbers(public))
        guide = _public_embedding(shown, features(_tensor(latents)))
        network = _fitted(run, settings, words, features, guide)
        save_tensors(run.out / WEIGHTS, network_tensors(network))
        used = [public_entry(run.public, "basis, kernel width, pretraining")]
        if settings.detail:
            used.append(public_entry(None, "detail"))
        return finish_run(
            run,
            name=NAME,
            settings=settings,
            vocabulary=words.vocabulary,
            public_data=used,
            packages=("torch", "scipy"),
        )

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """See the protocol. Latents are drawn by the network, decoded, and given detail."""
        card = load_card(folder)
        settings = build_config(MeanEmbeddingConfig, card.config)
        vocabulary = card_vocabulary(card)
        cells = vocabulary.cells(counts)
        network = _network(settings, vocabulary)
        load_network(network, read_tensors(folder / WEIGHTS))
        basis = _load_basis(folder)
        noise = torch.randn(len(cells), N_NOISE, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            drawn = network(noise, one_hot(vocabulary, vocabulary.numbers(cells)))
        latents = np.asarray(drawn.numpy(), dtype=np.float64)
        pixels = basis.decode(latents)
        progress(1, 2, "adding detail")
        if settings.detail and card.channels == 1:
            rng = np.random.default_rng(seed)
            pixels = add_phantom_detail(pixels, latents, basis=basis, size=card.image_size, rng=rng)
        progress(2, 2, "done")
        return synthetic_set(pixels, cells, card)


def _charge_and_release(
    run: Run, basis: PublicBasis, features: FourierFeatures, conditions: Tensor, words: Words
) -> None:
    """Reserve, record, release, store. Killed attempts count: only what they left of the budget is used."""
    earlier = read_log(run.out)
    already = () if earlier is None else earlier.events
    budget = run.budget
    noise = release_noise(budget, already)
    event = GaussianEvent(noise_multiplier=noise, sample_rate=1.0, steps=1)
    run.recorder.reserve(
        spend_of(
            (*already, event),
            delta=budget.target_delta,
            accountant=budget.accountant,
            privacy_unit=run.images.privacy_unit,
        )
    )
    step = 0 if earlier is None else earlier.n_steps
    run.recorder.step(StepRecord(step=step, noise_multiplier=noise, sample_rate=1.0, phase=PHASE))
    mapped = features(_tensor(basis.encode(unit_pixels(run.images))))
    exact = subject_sums(run.images, conditions, mapped, words)
    save_tensors(run.out / RELEASE, {"sums": noisy_sums(exact, words, noise)})


def _fitted(
    run: Run, settings: MeanEmbeddingConfig, words: Words, features: FourierFeatures, guide: Embedding
) -> LatentNetwork:
    """The network after steps towards the public and then the released embedding; repeats by seed."""
    released = embedding_of(load_tensors(run.out / RELEASE)["sums"].astype(np.float64), words)
    with seeded(run.seed):
        network = _network(settings, words.vocabulary)
        done, total = 0, settings.public_steps + settings.n_steps
        for target, n_steps in ((guide, settings.public_steps), (released, settings.n_steps)):
            optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
            for step in range(n_steps):
                for group in optimizer.param_groups:  # to a twentieth of the rate at the end
                    group["lr"] = settings.learning_rate * max(0.05, 1 - step / n_steps)
                optimizer.zero_grad()
                loss = _mismatch(network, features, target, words.vocabulary)
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
                done += 1
                run.progress(done, total, "matching the embedding")
    return network


def _mismatch(network: nn.Module, features: FourierFeatures, target: Embedding, vocabulary: Vocabulary) -> Tensor:
    """The squared distance of each word's mean embedding from the target's, weighted by the word's share.

    Labels are drawn evenly, so that a rare one is met in each batch, and weighted back by their shares where a group's
    mean is taken, since that is a mean over people of all labels.
    """
    conditions = any_conditions(vocabulary, BATCH)
    n_labels = len(vocabulary.labels)
    weights = conditions[:, :n_labels] @ target.shares[:n_labels].clamp_min(1e-4)
    mapped = features(network(torch.randn(BATCH, N_NOISE), conditions))
    borne = conditions * weights[:, None]
    means = (borne.T @ mapped) / borne.sum(0).clamp_min(1e-6)[:, None]
    mismatch: Tensor = (target.shares * (means - target.means).square().sum(1)).sum()
    return mismatch


def _public_embedding(conditions: Tensor, mapped: Tensor) -> Embedding:
    """The embedding of public images with conditions [n, c] and features [n, 2m].

    A word that the public set does not use gets the mean of all its images.
    """
    counts = conditions.sum(0)
    own = (conditions.T @ mapped) / counts.clamp_min(1)[:, None]
    means = torch.where(counts[:, None] > 0, own, mapped.mean(0))
    return Embedding(means=means, shares=torch.full_like(counts, 1 / len(counts)))


def _words(settings: MeanEmbeddingConfig, vocabulary: Vocabulary) -> Words:
    return Words(vocabulary=vocabulary, count_weight=settings.count_weight, group_weight=settings.group_weight)


def _network(settings: MeanEmbeddingConfig, vocabulary: Vocabulary) -> LatentNetwork:
    return LatentNetwork(
        n_conditions=n_conditions(vocabulary), n_components=settings.n_components, width=settings.width
    )


def _tensor(latents: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
    return torch.from_numpy(latents.astype(np.float32))


def _load_basis(folder: Path) -> PublicBasis:
    tensors = load_tensors(folder / BASIS)
    return PublicBasis(
        mean=tensors["mean"].astype(np.float32),
        directions=tensors["directions"].astype(np.float32),
        scale=tensors["scale"].astype(np.float32),
        radius=float(tensors["radius"].item()),
    )
