"""A public diffusion network from a local folder of `diffusers`: JSON and safetensors, no pickle, no network access.

Either a pipeline's folder (`unet/`, and `scheduler/` where there is one) or that of a `UNet2DModel` alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from generators.base import ConfigError, GeneratorError
from generators.folder import read_json, refuse_pickle
from generators.networks.denoising import PREDICTIONS, NoiseProcess

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
NETWORK_CLASS = "UNet2DModel"
BLOCKS = {"DownBlock2D", "AttnDownBlock2D", "UpBlock2D", "AttnUpBlock2D"}
# What a scheduler's config says of how noise is added; the rest concerns a solver of its own, which is not used.
NOISE_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
)
DEFAULT_NOISE = {"num_train_timesteps": 1000, "beta_schedule": "linear", "prediction_type": "epsilon"}
# Names that attention's weights had in folders written by early versions of diffusers.
OLD_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
ANOTHER = "name a folder with an unconditional UNet2DModel in safetensors"


@dataclass(frozen=True, kw_only=True)
class PublicNetwork:
    """What a folder holds. config: the UNet's. noise: how noise was added when it was trained.

    digest: `sha256:<hex>` over both and the weights. patch: the side of the squares of pixels that it sees as channels
    of one point, 1 where it sees pixels.
    """

    name: str
    config: Mapping[str, Any]
    noise: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    digest: str
    patch: int

    def unet(self) -> UNet2DModel:
        """The UNet with its weights, float32. Raises ConfigError where they do not fit."""
        unet = build_unet(self.config)
        try:
            unet.load_state_dict({name: value.float() for name, value in self.weights.items()})
        except RuntimeError as error:
            raise ConfigError("weights do not fit config.json", where=f"base {self.name}", remedy=ANOTHER) from error
        return unet


def read_public_network(base: str, *, size: int, channels: int) -> PublicNetwork:
    """The network of the folder `base` for images [channels, size, size]. Raises ConfigError in one line."""
    if not base:
        raise ConfigError("is not set", where="base", remedy=ANOTHER)
    folder = Path(base)
    if not folder.is_dir():
        raise ConfigError("no such folder (nothing is downloaded)", where=f"base {base}", remedy=ANOTHER)
    inner = folder / "unet" if (folder / "unet").is_dir() else folder
    try:
        refuse_pickle(inner)
        if not (inner / CONFIG).is_file():
            raise ConfigError(f"holds no {CONFIG}")
        config = read_json(inner / CONFIG)
        noise = _noise(folder)
    except GeneratorError as error:
        raise ConfigError(error.what, where=f"base {base}", remedy=ANOTHER) from error
    _check_config(config, base, size=size, channels=channels)
    content = _content(inner / WEIGHTS, base)
    described = json.dumps([config, noise], sort_keys=True).encode()
    return PublicNetwork(
        name=folder.name,
        config=config,
        noise=noise,
        weights=_tensors(content, base),
        digest=f"sha256:{hashlib.sha256(described + content).hexdigest()}",
        patch=patch_of(config, size),
    )


def build_unet(config: Mapping[str, Any]) -> UNet2DModel:
    """An untrained UNet of that config, without dropout. Raises ConfigError."""
    try:
        unet: UNet2DModel = UNet2DModel.from_config({**config, "dropout": 0.0})
    except (ValueError, TypeError, KeyError, ZeroDivisionError) as error:
        raise ConfigError("config.json describes no UNet2DModel", where="base", remedy=ANOTHER) from error
    return unet


def patch_of(config: Mapping[str, Any], size: int) -> int:
    """The side of a point's square of pixels in images of `size`: 1 where the UNet's own side does not divide it."""
    own = config.get("sample_size")
    return size // own if isinstance(own, int) and own > 0 and size % own == 0 else 1


def _check_config(config: Mapping[str, Any], base: str, *, size: int, channels: int) -> None:
    blocks = {*config.get("down_block_types", ()), *config.get("up_block_types", ())}
    patch = patch_of(config, size)
    if config.get("in_channels") == channels * patch**2:
        size, channels = size // patch, channels * patch**2
    found = config.get("sample_size") or size
    side = found if isinstance(found, int) else "x".join(map(str, found))
    halvings = 2 ** max(0, len(config.get("down_block_types", ())) - 1)
    refusals = {
        f"is a {config.get('_class_name')}": config.get("_class_name") != NETWORK_CLASS,
        "is conditional on classes of its own": bool(config.get("class_embed_type") or config.get("num_class_embeds")),
        "has blocks of another kind than DownBlock2D and AttnDownBlock2D": not blocks <= BLOCKS,
        "has another embedding of time than the positional one": config.get("time_embedding_type") != "positional",
        f"is for images of {side} pixels, not {size}": side != size or size % halvings != 0,
        f"has {config.get('in_channels')} channels, not {channels}": config.get("in_channels") != channels,
        "predicts something beside the noise": config.get("out_channels") != config.get("in_channels"),
    }
    for what, refused in refusals.items():
        if refused:
            raise ConfigError(what, where=f"base {base}", remedy=ANOTHER)


def _noise(folder: Path) -> dict[str, Any]:
    path = folder / "scheduler" / "scheduler_config.json"
    config = {**DEFAULT_NOISE, **(read_json(path) if path.exists() else {})}
    noise = {name: config[name] for name in NOISE_KEYS if name in config}
    if noise["prediction_type"] not in PREDICTIONS:
        raise ConfigError(f"its network predicts {noise['prediction_type']}")
    try:
        NoiseProcess(config=noise).training()
    except (NotImplementedError, ValueError, TypeError) as error:
        raise ConfigError("scheduler_config.json describes no schedule of noise") from error
    return noise


def _content(path: Path, base: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"holds no {path.name}", where=f"base {base}", remedy=ANOTHER) from error


def _tensors(content: bytes, base: str) -> dict[str, Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load(content)
    except SafetensorError as error:
        raise ConfigError(f"{WEIGHTS} is damaged", where=f"base {base}", remedy=ANOTHER) from error
    return {_renamed(name): value for name, value in tensors.items()}


def _renamed(name: str) -> str:
    for old, new in OLD_NAMES.items():
        name = name.replace(old, new)
    return name
