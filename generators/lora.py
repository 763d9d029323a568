"""`lora`: a public diffusion network made the cohort's by DP-SGD on low-rank adapters or on its attention alone.

The network is a `UNet2DModel` in a local folder of `diffusers` (`base`); nothing is downloaded. A finished folder is
self-contained: it holds the whole network, adapters merged, at 4 bytes a weight, and a checkpoint of about as much.
Differentially private fine-tuning of few weights of diffusion models: Liu, Lyu, Vinaroz, Park 2023 (attention);
Tsai et al. 2024 (low rank, Hu et al. 2022). The unit here is a subject with all images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from generators.base import CellCount, GeneratorCard, Progress, ResumeError, Run
from generators.cards import card_vocabulary, finish_run
from generators.conditions import Vocabulary
from generators.config import build_config, setting
from generators.data import ImageSet
from generators.folder import load_card, load_tensors, save_tensors
from generators.networks.checkpoints import load_network, network_tensors, read_tensors
from generators.networks.denoising import Denoiser, NoiseProcess, check_solver, denoising_loss
from generators.networks.diffusers_folder import PublicNetwork, build_unet, patch_of, read_public_network
from generators.networks.low_rank import adapt, merge
from generators.networks.pixel_denoising import DenoisingSettings, draw_set
from generators.networks.tensors import image_tensor, n_conditions, one_hot, pick_device, seeded
from generators.training import train_network

NAME = "lora"
WEIGHTS = "network.safetensors"
BASE = "base.safetensors"


@dataclass(frozen=True, kw_only=True)
class LoraConfig(DenoisingSettings):
    """Settings, those of the private loop first."""

    base: str = setting("", "local folder of diffusers with a public UNet2DModel of the images' side and channels")
    adapt: str = setting("all", "what is trained: all or attention (low-rank adapters there), or attention-weights")
    rank: int = setting(4, "rank of the adapters", low=1, high=256)


class LowRankDiffusion:
    """The generator (see the module). A `generators.base.Generator`."""

    name = NAME
    config_class = LoraConfig

    def train(self, run: Run) -> GeneratorCard:
        """See the protocol. `run.seed` repeats the adapters' initial weights, nothing private."""
        settings = build_config(LoraConfig, run.config)
        vocabulary = Vocabulary.of(run.images, settings.labels)
        check_solver(settings.solver)
        side = run.images.images.shape[1]
        public = read_public_network(settings.base, size=side, channels=run.images.channels)
        network = _adapted(public, settings, vocabulary, run.seed).to(pick_device(run.device))
        plan = settings.plan(run.budget)
        _keep_description(public, run)
        process = NoiseProcess(config=public.noise)
        train_network(
            network,
            denoising_loss(process, condition_dropout=settings.condition_dropout, n_labels=len(vocabulary.labels)),
            run,
            settings,
            images=image_tensor(run.images),
            conditions=one_hot(vocabulary, vocabulary.numbers(run.images)),
            plan=plan,
        )
        merge(network)
        save_tensors(run.out / WEIGHTS, network_tensors(network))
        return finish_run(
            run,
            name=NAME,
            settings=replace(settings, base=public.name),  # a path would tell of the machine
            vocabulary=vocabulary,
            public_data=[_public_entry(public)],
            packages=("torch", "diffusers", "opacus", "scipy"),
        )

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """See the protocol. A deterministic solver from noise that the seed repeats, in chunks."""
        card = load_card(folder)
        settings = build_config(LoraConfig, card.config)
        network, process = described_network(folder, card)
        load_network(network, read_tensors(folder / WEIGHTS))
        drawing = settings.drawing(process)
        return draw_set(network, card, drawing, counts, seed=seed, progress=progress)


def described_network(folder: Path, card: GeneratorCard) -> tuple[Denoiser, NoiseProcess]:
    """The network of a finished folder before its weights, and the noise that it takes away."""
    described = _description(folder)
    network = Denoiser(
        build_unet(described["unet"]),
        n_conditions=n_conditions(card_vocabulary(card)),
        patch=patch_of(described["unet"], card.image_size),
    )
    return network, NoiseProcess(config=described["noise"])


def _adapted(public: PublicNetwork, settings: LoraConfig, vocabulary: Vocabulary, seed: int) -> Denoiser:
    """The public network with its adapters, which change nothing before they are trained."""
    with seeded(seed):
        network = Denoiser(public.unet(), n_conditions=n_conditions(vocabulary), patch=public.patch)
        adapt(network, settings.adapt, settings.rank)
    return network


def _public_entry(public: PublicNetwork) -> dict[str, str]:
    return {
        "name": public.name,
        "use": "pretrained network",
        "licence": "as the operator declares",
        "digest": public.digest,
    }


def _keep_description(public: PublicNetwork, run: Run) -> None:
    """Store what the network's weights need beside them. Raises ResumeError where a run began with another network.

    It is JSON in a tensor's bytes, so that the digest of a generator's tensors covers it.
    """
    path = run.out / BASE
    if path.exists() and _description(run.out)["digest"] != public.digest:
        raise ResumeError("began with another base", where=str(run.out), remedy="name the one that it began with")
    text = json.dumps({"unet": public.config, "noise": public.noise, "digest": public.digest})
    save_tensors(path, {"json": np.frombuffer(text.encode(), dtype=np.uint8)})


def _description(folder: Path) -> dict[str, Any]:
    return dict(json.loads(load_tensors(folder / BASE)["json"].tobytes()))
