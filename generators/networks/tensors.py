"""Images and conditions as the tensors that networks take, and the device that they live on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.base import ConfigError
from generators.conditions import Vocabulary
from generators.data import ImageSet
from generators.latent.basis import unit_pixels


def image_tensor(images: ImageSet) -> Tensor:
    """float32 [N, C, S, S] in [0, 1]."""
    side = images.images.shape[1]
    return torch.from_numpy(unit_pixels(images)).reshape(len(images), side, side, images.channels).movedim(-1, 1)


def one_hot(vocabulary: Vocabulary, numbers: NDArray[np.intp]) -> Tensor:
    """Conditions [N, c] of `Vocabulary.numbers`: one-hot label, sex and age group, zeros where one is unknown."""
    sizes = (len(vocabulary.labels), len(vocabulary.sexes), len(vocabulary.age_groups))
    rows = [np.eye(size + 1, dtype=np.float32)[column][:, :size] for size, column in zip(sizes, numbers.T, strict=True)]
    return torch.from_numpy(np.concatenate(rows, axis=1))


def n_conditions(vocabulary: Vocabulary) -> int:
    """c, the width of `one_hot`."""
    return len(vocabulary.labels) + len(vocabulary.sexes) + len(vocabulary.age_groups)


def any_conditions(vocabulary: Vocabulary, n: int) -> Tensor:
    """Conditions [n, c] drawn evenly over the vocabulary by torch's own generator; a group is left open now and then.

    A sex or age group is as often open as any of its words: images can be asked for without.
    """
    label = torch.randint(len(vocabulary.labels), (n,))
    sizes = (len(vocabulary.sexes), len(vocabulary.age_groups))
    groups = [torch.eye(size + 1)[torch.randint(size + 1, (n,))][:, :size] for size in sizes]
    return torch.cat([torch.eye(len(vocabulary.labels))[label], *groups], dim=1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What torch draws within repeats by `seed`; what it draws elsewhere is left alone. For public work only."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def pick_device(name: str) -> torch.device:
    """The device of that name; for auto the first CUDA device, else the CPU. Raises ConfigError."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device found", where="device", remedy="use --device auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
