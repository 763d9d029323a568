"""`diffusion`: a pixel UNet of `diffusers`, warmed up on noisy central images and public ones, then trained by DP-SGD.

DPDM (Dockhorn, Cao, Vahdat, Kreis 2023) with one gradient a subject: each view of a subject has a noise level of its
own (noise multiplicity), the moving average of weights is kept, and conditions are hidden at times so that drawing can
be guided. The warm-up is that of DP-FETA (Li et al. 2025) with the sensitivity that `central_images` proves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from generators.accounting import release_noise
from generators.base import CellCount, ConfigError, GeneratorCard, Progress, Run
from generators.cards import card_vocabulary, finish_run
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.folder import load_card, load_tensors, save_tensors
from generators.gradients.subjects import Loss
from generators.networks.checkpoints import load_network, network_tensors, read_tensors
from generators.networks.denoising import (
    Denoiser,
    Drawing,
    NoiseProcess,
    check_solver,
    denoising_loss,
    new_unet,
    patch_side,
)
from generators.networks.pixel_denoising import DenoisingSettings, draw_set
from generators.networks.starts import GaussianStart
from generators.networks.tensors import image_tensor, n_conditions, one_hot, pick_device, seeded
from generators.privacy import GaussianEvent
from generators.public.images import public_entry, public_or_phantoms
from generators.public.pretraining import pretrain
from generators.releases.central_images import PHASE as WARM_UP
from generators.releases.central_images import (
    CentralImages,
    PublicFrame,
    label_shifts,
    moved_images,
    release_central_images,
)
from generators.steps_log import read_log
from generators.training import CHECKPOINT, reserve_plan, train_network

NAME = "diffusion"
WEIGHTS = "network.safetensors"
CENTRAL = "central.safetensors"
CONDITIONS, ALL = "conditions", "all"
LOST_WARM_UP = "killed between the record and the file of its central images: they are paid for and were not used"


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(DenoisingSettings):
    """Settings, those of the private loop first. The defaults are for 64 px and 15 minutes of two CPU cores."""

    n_steps: int = setting(20, "private steps", low=1, high=1_000_000, changes_privacy=True)
    learning_rate: float = setting(1e-3, "Adam's rate for private steps", low=1e-7, high=1)
    width: int = setting(16, "channels at the highest resolution, a multiple of 8", low=8, high=512)
    # Noise of 16 pixels does not pass a point of 16 channels: a small network that has to name it draws noise.
    prediction: str = setting("sample", "what the network predicts: sample (the image), v_prediction or epsilon")
    public_steps: int = setting(600, "steps on public images before the private ones; 0 for none", low=0)
    public_learning_rate: float = setting(1e-3, "Adam's rate for steps that cost nothing", low=1e-7, high=1)
    central_share: float = setting(
        0.5, "share of the budget for noisy central images; 0 for none", low=0, high=0.9, changes_privacy=True
    )
    central_side: int = setting(8, "side in pixels that central images are released at", low=1, high=64)
    central_steps: int = setting(300, "steps on public images moved to the central ones", low=0)
    refined: str = setting("conditions", "weights that private steps change: all, or conditions for theirs alone")
    strength: float = setting(
        0.5, "how far to pure noise drawing begins, at noised coarse images; 1: pure noise", low=0.05, high=1
    )

    def __post_init__(self) -> None:
        if self.refined not in (CONDITIONS, ALL):
            raise ConfigError(f"is {self.refined!r}", where="refined", remedy=f"choose {CONDITIONS} or {ALL}")

    @property
    def shows_public(self) -> bool:
        """Whether public images are looked at; without any, drawing begins with pure noise."""
        return bool(self.public_steps or self.central_share)

    def drawing(self, process: NoiseProcess) -> Drawing:
        return replace(super().drawing(process), strength=self.strength if self.shows_public else 1.0)


class PixelDiffusion:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = DiffusionConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. `run.seed` repeats the initial weights and the public steps, nothing private.

        A run killed between the record and the file of its central images goes on without them.
        """
        settings = build_config(DiffusionConfig, run.config)
        vocabulary = Vocabulary.of(run.images, settings.labels)
        network = _initial(settings, vocabulary, run)
        public = _Public.of(run, vocabulary, settings.central_side) if settings.shows_public else None
        loss = _loss(settings, vocabulary)
        images = image_tensor(run.images)
        warm_up = _warm_up_event(settings, run)
        plan = settings.plan(run.budget, warm_up)
        reserve_plan(plan, run)
        shifts = None
        if public is not None and warm_up:
            shifts = _shifts(run, images, vocabulary, public.frame, warm_up[0])
        if public is not None and not (run.out / CHECKPOINT).exists():
            _pretrain(network, loss, public, shifts, settings, run)
        if public is not None and settings.refined == CONDITIONS and run.budget.is_private:
            # Fewer weights meet less noise: noise grows with their number, what people say does not.
            network.requires_grad_(False)
            network.unet.class_embedding.requires_grad_(True)
        train_network(
            network,
            loss,
            run,
            settings,
            images=images,
            conditions=one_hot(vocabulary, vocabulary.numbers(run.images)),
            plan=plan,
        )
        save_tensors(run.out / WEIGHTS, network_tensors(network))
        return finish_run(
            run,
            name=NAME,
            settings=settings,
            vocabulary=vocabulary,
            public_data=[] if public is None else [public_entry(run.public, "pretraining and warm-up")],
            packages=("torch", "diffusers", "opacus", "scipy"),
            notes=(LOST_WARM_UP,) if warm_up and shifts is None else (),
        )

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """See the protocol. A deterministic solver from noise that the seed repeats, in chunks."""
        card = load_card(folder)
        settings = build_config(DiffusionConfig, card.config)
        network = new_network(settings, card_vocabulary(card), card.image_size, card.channels)
        load_network(network, read_tensors(folder / WEIGHTS))
        drawing = settings.drawing(NoiseProcess.of_pixels(settings.prediction))
        start = GaussianStart.load(folder)
        return draw_set(network, card, drawing, counts, seed=seed, progress=progress, start=start)


@dataclass(frozen=True, kw_only=True)
class _Public:
    """Public images [n, C, S, S], the numbers of their conditions (-1 where the vocabulary lacks them), their frame."""

    images: Tensor
    vocabulary: Vocabulary
    known: NDArray[np.intp]
    frame: PublicFrame

    @classmethod
    def of(cls, run: Run, vocabulary: Vocabulary, side: int) -> _Public:
        shown = public_or_phantoms(run.public, run.images)
        images = image_tensor(shown)
        known = vocabulary.known_numbers(shown)
        return cls(images=images, vocabulary=vocabulary, known=known, frame=PublicFrame.of(images, side))

    def moved(self, shifts: Tensor, seed: int) -> _Public:
        """Images moved to the labels' central images, each with a label."""
        images, labels = moved_images(self.images, self.known[:, 0], shifts, self.frame, seed=seed)
        return replace(self, images=images, known=np.column_stack([labels, self.known[:, 1:]]))

    def start(self, seed: int) -> GaussianStart:
        return GaussianStart.of(self.images, self.known[:, 0], len(self.vocabulary.labels), seed=seed)


def new_network(settings: DiffusionConfig, vocabulary: Vocabulary, size: int, channels: int) -> Denoiser:
    """Initial weights. Raises ConfigError."""
    if settings.width % 8:
        raise ConfigError(f"is {settings.width}", where="width", remedy="use a multiple of 8")
    unet = new_unet(size=size, channels=channels, width=settings.width)
    return Denoiser(unet, n_conditions=n_conditions(vocabulary), patch=patch_side(size))


def _initial(settings: DiffusionConfig, vocabulary: Vocabulary, run: Run) -> Denoiser:
    """Initial weights, which repeat by seed, on the run's device."""
    check_solver(settings.solver)
    with seeded(run.seed):
        network = new_network(settings, vocabulary, run.images.images.shape[1], run.images.channels)
    return network.to(pick_device(run.device))


def _loss(settings: DiffusionConfig, vocabulary: Vocabulary) -> Loss:
    process = NoiseProcess.of_pixels(settings.prediction)
    return denoising_loss(
        process,
        condition_dropout=settings.condition_dropout,
        n_labels=len(vocabulary.labels),
        strength=settings.drawing(process).strength,
    )


def _warm_up_event(settings: DiffusionConfig, run: Run) -> tuple[GaussianEvent, ...]:
    """The release of central images: the Gaussian mechanism that alone would spend `central_share` of the budget."""
    if not settings.central_share:
        return ()
    noise = release_noise(run.budget, share=settings.central_share)
    return (GaussianEvent(noise_multiplier=noise, sample_rate=1.0, steps=1),)


def _shifts(
    run: Run, images: Tensor, vocabulary: Vocabulary, frame: PublicFrame, event: GaussianEvent
) -> Tensor | None:
    """Each label's shift from the released central images; None where an earlier attempt paid and lost them."""
    path = run.out / CENTRAL
    if not path.exists():
        logged = read_log(run.out)
        if logged is not None and logged.steps_of(WARM_UP):
            return None
        released = release_central_images(
            run,
            images,
            vocabulary.numbers(run.images)[:, 0],
            frame,
            n_labels=len(vocabulary.labels),
            noise_multiplier=event.noise_multiplier,
        )
        save_tensors(path, released.tensors)
    return label_shifts(CentralImages.of_tensors(load_tensors(path)), frame)


def _pretrain(
    network: Denoiser, loss: Loss, public: _Public, shifts: Tensor | None, settings: DiffusionConfig, run: Run
) -> None:
    """Steps that cost nothing, on public images as they are, then on those moved to the noisy central images.

    The latter are also what the start of drawing is made of.
    """
    sets = [(settings.public_steps, public, "on public images")]
    if shifts is not None:
        sets.append((settings.central_steps, public.moved(shifts, run.seed), "on central images"))
    sets[-1][1].start(run.seed).save(run.out)
    for n_steps, shown, where in sets:
        pretrain(
            network,
            loss,
            shown.images,
            one_hot(shown.vocabulary, shown.known),
            n_steps=n_steps,
            learning_rate=settings.public_learning_rate,
            seed=run.seed,
            progress=run.progress,
            average=0.99,
            message=f"pretraining {where}",
        )
