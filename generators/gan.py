"""`gan`: a conditional generative adversarial network whose discriminator alone sees private images, by DP-SGD.

Bie, Kamath and Zhang 2023 ("Private GANs, revisited"): several private steps of the discriminator in each round, then
steps of the generator, which are post-processing and free, because real images reach it through the privatised
discriminator alone. A subject's loss pairs each of their images with one drawn by the generator for the same
conditions: its gradient involves no other subject's image and is clipped as a whole. Both networks are pretrained on
public images: first the generator learns to draw public images from their principal latents, then both play the game
on the public set; the discriminator's features are then made to vary alike over it (`networks.adversaries`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from generators.base import CellCount, GeneratorCard, Progress, Run
from generators.cards import card_vocabulary, finish_run, synthetic_set
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.folder import load_card, save_tensors
from generators.gradients.subjects import Loss
from generators.latent.basis import fit_basis, unit_pixels
from generators.networks.adversaries import Discriminator, GeneratorNetwork, mean_conditions
from generators.networks.checkpoints import (
    Arrays,
    load_network,
    load_optimizer,
    network_tensors,
    optimizer_tensors,
    read_tensors,
)
from generators.networks.halves import decode_in_chunks
from generators.networks.tensors import any_conditions, image_tensor, one_hot, pick_device, seeded
from generators.public.images import public_entry, public_or_phantoms
from generators.public.pretraining import move_average, pretrain
from generators.training import PrivateSettings, train_network

NAME = "gan"
WEIGHTS = "network.safetensors"
BATCH = 32
BETAS = (0.5, 0.99)
WARM_LEARNING_RATE = 2e-3
PLAY_LEARNING_RATE = 2e-4
# Against a score of about 1: the mean squared error of a pixel that weighs as much is a tenth of white, squared.
ANCHOR_WEIGHT = 100.0


@dataclass(frozen=True, kw_only=True)
class GanConfig(PrivateSettings):
    """Settings, those of the private loop first."""

    batch_size: int = setting(512, "expected subjects a step", low=1, changes_privacy=True)
    n_steps: int = setting(30, "private steps", low=1, high=1_000_000, changes_privacy=True)
    learning_rate: float = setting(5e-3, "Adam's rate for private steps", low=1e-7, high=1)
    views: int = setting(1, "images of one subject that one step looks at", low=1, high=64)
    discriminator_steps: int = setting(5, "private steps of the discriminator in each round", low=1, high=1000)
    generator_steps: int = setting(20, "free steps of the generator in each round", low=1, high=1000)
    generator_batch: int = setting(32, "synthetic images in a step of the generator", low=2, high=4096)
    generator_learning_rate: float = setting(2e-4, "Adam's rate for the generator", low=1e-7, high=1)
    generator_average: float = setting(0.99, "decay of the generator's moving average; 0 for none", low=0, high=0.9999)
    n_latents: int = setting(32, "latent dimensions", low=2, high=512)
    width: int = setting(16, "channels of the first layer, a multiple of 8", low=8, high=512)
    head_only: bool = setting(True, "rounds move the discriminator's head and the generator's first layer alone")
    warm_steps: int = setting(500, "steps towards public images from their principal latents", low=0)
    public_steps: int = setting(200, "adversarial steps on public images before the private ones", low=0)


@dataclass(frozen=True, kw_only=True)
class PublicPairs:
    """Public images [n, C, S, S] with their principal latents [n, l] and conditions [n, c].

    Those latents have about mean 0 and variance 1 in each direction, as the latents that sampling draws, so that a
    generator which draws public images from them draws images of the right kind from any.
    """

    images: Tensor
    latents: Tensor
    conditions: Tensor

    @classmethod
    def of(cls, shown: ImageSet, conditions: Tensor, n_latents: int) -> PublicPairs:
        basis = fit_basis(shown, n_components=n_latents, radius_quantile=1.0, whitening=1.0)
        latents = torch.from_numpy(basis.encode(unit_pixels(shown))).float()
        return cls(images=image_tensor(shown), latents=latents, conditions=conditions)

    def error(self, network: nn.Module, n: int) -> Tensor:
        """The mean squared error of n images drawn from their latents."""
        home = next(network.parameters()).device
        some = torch.randint(len(self.images), (n,))
        drawn = network(self.latents[some].to(home), self.conditions[some].to(home))
        error: Tensor = (drawn - self.images[some].to(home)).square().mean()
        return error


def discriminator_loss(generator: GeneratorNetwork) -> Loss:
    """The hinge loss of each image beside one that `generator`, as it is by then, draws for the same conditions."""

    def loss(network: nn.Module, images: Tensor, conditions: Tensor) -> Tensor:
        home = next(generator.parameters()).device  # the discriminator may have replicas on others
        with torch.no_grad():
            drawn = generator.draw(conditions.to(home)).to(images)
        return relu(1 - network(images, conditions)) + relu(1 + network(drawn, conditions))

    return loss


class Opponent:
    """The generator network, its optimizer and moving average: the private loop's companion.

    It is fed by the discriminator's weights and by `public`, which weaken its answers to noise in the former: the
    generator goes on drawing public images from their own latents.
    """

    def __init__(
        self,
        network: GeneratorNetwork,
        discriminator: nn.Module,
        vocabulary: Vocabulary,
        settings: GanConfig,
        public: PublicPairs | None = None,
    ) -> None:
        self.network, self.discriminator, self.public = network, discriminator, public
        self.vocabulary, self.settings = vocabulary, settings
        moved = [value for value in network.parameters() if value.requires_grad]
        self.optimizer = torch.optim.Adam(moved, lr=settings.generator_learning_rate, betas=BETAS)
        self.average = copy.deepcopy(network)

    def after_step(self, step: int) -> None:
        """Steps of the generator after every so many of the discriminator."""
        rounds, rest = divmod(step + 1, self.settings.discriminator_steps)
        if rest:
            return
        n_steps = self.settings.generator_steps
        for number in range((rounds - 1) * n_steps, rounds * n_steps):
            self._step(number)

    def _step(self, number: int) -> None:
        device = next(self.network.parameters()).device
        conditions = any_conditions(self.vocabulary, self.settings.generator_batch).to(device)
        loss = -self.discriminator(self.network.draw(conditions), conditions).mean()
        if self.public is not None:
            loss = loss + ANCHOR_WEIGHT * self.public.error(self.network, self.settings.generator_batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        decay = min(self.settings.generator_average, (number + 1) / (number + 10))
        move_average(self.average, self.network, decay=decay)

    def tensors(self) -> Arrays:
        """See `training.Companion`."""
        return {
            **network_tensors(self.network, "companion.network"),
            **network_tensors(self.average, "companion.average"),
            **optimizer_tensors(self.optimizer, "companion.optimizer"),
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """See `training.Companion`."""
        load_network(self.network, tensors, "companion.network")
        load_network(self.average, tensors, "companion.average")
        load_optimizer(self.optimizer, tensors, "companion.optimizer")


class PrivateGan:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = GanConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. `run.seed` repeats the initial weights and the public steps, nothing private."""
        settings = build_config(GanConfig, run.config)
        vocabulary = Vocabulary.of(run.images, settings.labels)
        plan = settings.plan(run.budget)
        public = _public_pairs(settings, vocabulary, run)
        generator, discriminator = _pretrained(settings, vocabulary, run, public)
        if settings.head_only and settings.public_steps:
            # Noise grows with the number of weights: on hundreds of people only the head can be heard above it, and
            # only the generator's first layer can follow it without leaving what public images look like.
            discriminator.features.requires_grad_(False)
            generator.up.layers.requires_grad_(False)
        opponent = Opponent(generator, discriminator, vocabulary, settings, public)
        train_network(
            discriminator,
            discriminator_loss(generator),
            run,
            settings,
            images=image_tensor(run.images),
            conditions=one_hot(vocabulary, vocabulary.numbers(run.images)),
            plan=plan,
            companion=opponent,
        )
        save_tensors(run.out / WEIGHTS, network_tensors(opponent.average))
        return finish_run(
            run,
            name=NAME,
            settings=settings,
            vocabulary=vocabulary,
            public_data=[public_entry(run.public, "pretraining")] if public else [],
            packages=("torch", "opacus", "scipy"),
        )

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """See the protocol. Latents are standard Gaussian, one a synthetic image."""
        card = load_card(folder)
        vocabulary = card_vocabulary(card)
        network = new_generator(build_config(GanConfig, card.config), vocabulary, card.image_size, card.channels)
        load_network(network, read_tensors(folder / WEIGHTS))
        cells = vocabulary.cells(counts)
        conditions = one_hot(vocabulary, vocabulary.numbers(cells))
        latents = torch.randn(len(cells), network.n_latents, generator=torch.Generator().manual_seed(seed))
        pixels = decode_in_chunks(network, latents, conditions, progress)
        return synthetic_set(pixels.numpy(), cells, card)


def new_generator(settings: GanConfig, vocabulary: Vocabulary, size: int, channels: int) -> GeneratorNetwork:
    """Initial weights of the network that draws."""
    return GeneratorNetwork(
        size=size,
        channels=channels,
        centre=mean_conditions(vocabulary),
        n_latents=settings.n_latents,
        width=settings.width,
    )


def _public_pairs(settings: GanConfig, vocabulary: Vocabulary, run: Run) -> PublicPairs | None:
    """What both networks learn from before they meet private images; None where no such step is asked for."""
    if not (settings.warm_steps or settings.public_steps):
        return None
    shown = public_or_phantoms(run.public, run.images)
    conditions = one_hot(vocabulary, vocabulary.known_numbers(shown))
    return PublicPairs.of(shown, conditions, settings.n_latents)


def _pretrained(
    settings: GanConfig, vocabulary: Vocabulary, run: Run, public: PublicPairs | None
) -> tuple[GeneratorNetwork, Discriminator]:
    """Both networks with their initial weights, then steps on public images; repeats by seed."""
    size, channels = run.images.images.shape[1], run.images.channels
    with seeded(run.seed):
        generator = new_generator(settings, vocabulary, size, channels)
        centre = mean_conditions(vocabulary)
        discriminator = Discriminator(size=size, channels=channels, centre=centre, width=settings.width)
    device = pick_device(run.device)
    generator, discriminator = generator.to(device), discriminator.to(device)
    if public is not None:
        _warm_up(generator, public, settings, run)
        _play(generator, discriminator, public, vocabulary, settings, run)
    return generator, discriminator


def _warm_up(generator: GeneratorNetwork, public: PublicPairs, settings: GanConfig, run: Run) -> None:
    """Steps towards each public image from its principal latents and conditions."""

    def loss(network: nn.Module, images: Tensor, given: Tensor) -> Tensor:
        width = settings.n_latents
        error: Tensor = (network(given[:, :width], given[:, width:]) - images).square().flatten(1).mean(1)
        return error

    pretrain(
        generator,
        loss,
        public.images,
        torch.cat([public.latents, public.conditions], dim=1),
        n_steps=settings.warm_steps,
        learning_rate=WARM_LEARNING_RATE,
        seed=run.seed,
        progress=run.progress,
    )


def _play(
    generator: GeneratorNetwork,
    discriminator: Discriminator,
    public: PublicPairs,
    vocabulary: Vocabulary,
    settings: GanConfig,
    run: Run,
) -> None:
    """The game on public images, one step of each network in turn; repeats by seed."""
    device = next(generator.parameters()).device
    in_turn = replace(settings, discriminator_steps=1, generator_steps=1, generator_learning_rate=PLAY_LEARNING_RATE)
    opponent = Opponent(generator, discriminator, vocabulary, in_turn, public)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=PLAY_LEARNING_RATE, betas=BETAS)
    loss = discriminator_loss(generator)
    with seeded(run.seed):
        for step in range(settings.public_steps):
            some = torch.randint(len(public.images), (BATCH,))
            optimizer.zero_grad()
            value = loss(discriminator, public.images[some].to(device), public.conditions[some].to(device)).mean()
            value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            opponent.after_step(step)
            run.progress(step + 1, settings.public_steps, "playing on public images")
    if settings.public_steps:
        generator.load_state_dict(opponent.average.state_dict())
        discriminator.features.settle(public.images.to(device))
        discriminator.forget()
