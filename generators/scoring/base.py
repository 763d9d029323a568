"""What every scorer shares: its protocol, the check of what it is asked about, and the one of networks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generators.base import DataError, GeneratorCard, no_progress
from generators.cards import card_vocabulary
from generators.data import ImageSet
from generators.gradients.subjects import Loss
from generators.networks.tensors import one_hot, seeded
from generators.public.pretraining import pretrain

Doubles = NDArray[np.float64]
CHUNK = 64
LEARNING_RATE = 2e-3


class ImageScorer(Protocol):
    """One generator, asked how well an image fits its weights.

    Scores are in units of their own; a loss is given as minus its logarithm, so that a factor is a shift.
    """

    def scores(self, images: ImageSet) -> Doubles:
        """[N], higher where an image fits better; each image alone, by draws that are the same for all.

        Raises DataError where the images are not such as the generator draws.
        """

    def taught(self, images: ImageSet, *, n_steps: int, seed: int, afresh: bool = False) -> ImageScorer:
        """The same network after plain steps on these images, from its own weights or from initial ones.

        There is no privacy in it: it is for controls of an audit, and never leaves it.
        """


def asked_numbers(card: GeneratorCard, images: ImageSet) -> NDArray[np.intp]:
    """[N, 3], as `Vocabulary.numbers`. Raises DataError for images of another format, words or columns."""
    for what, ours, theirs in (
        ("side", images.images.shape[1:3], (card.image_size, card.image_size)),
        ("bits", images.used_bits, card.bit_depth),
        ("channels", images.channels, card.channels),
    ):
        if ours != theirs:
            raise DataError(f"{what} {ours}, the generator's are {theirs}", where="images", remedy="bring them to one")
    vocabulary = card_vocabulary(card)
    for name, words in (
        ("label", [word for word in vocabulary.labels if word]),
        ("sex", vocabulary.sexes),
        ("age_group", vocabulary.age_groups),
    ):
        if words and getattr(images, name) is None:
            raise DataError("is missing, the generator is asked by it", where=name, remedy="give every image one")
    return vocabulary.numbers(images)


@dataclass(frozen=True, kw_only=True)
class NetworkScorer:
    """A scorer that is a network (see `ImageScorer`).

    inputs: what the network is shown of images, a row an image. score(network, inputs, conditions [n, c]) -> [n].
    loss: what the network is taught by.
    """

    card: GeneratorCard
    network: nn.Module
    inputs: Callable[[ImageSet], Tensor]
    score: Callable[[nn.Module, Tensor, Tensor], Tensor]
    loss: Loss

    def scores(self, images: ImageSet) -> Doubles:
        """See the protocol."""
        shown, conditions = self._shown(images)
        home = next(self.network.parameters()).device
        self.network.eval()
        with torch.no_grad():
            parts = [
                self.score(self.network, some.to(home), words.to(home)).cpu()
                for some, words in zip(torch.split(shown, CHUNK), torch.split(conditions, CHUNK), strict=True)
            ]
        return np.asarray(torch.cat(parts).double().numpy())

    def taught(self, images: ImageSet, *, n_steps: int, seed: int, afresh: bool = False) -> NetworkScorer:
        """See the protocol."""
        network = copy.deepcopy(self.network).requires_grad_(True)
        if afresh:
            _forget(network, seed)
        pretrain(
            network,
            self.loss,
            *self._shown(images),
            n_steps=n_steps,
            learning_rate=LEARNING_RATE,
            seed=seed,
            progress=no_progress,
        )
        return replace(self, network=network)

    def _shown(self, images: ImageSet) -> tuple[Tensor, Tensor]:
        numbers = asked_numbers(self.card, images)
        return self.inputs(images), one_hot(card_vocabulary(self.card), numbers)


def minus_log(losses: Tensor) -> Tensor:
    """[n] of losses [k, n] at k fixed draws: minus the mean logarithm, so that no draw outweighs the others."""
    return -losses.clamp_min(1e-12).log().mean(0)


def _forget(network: nn.Module, seed: int) -> None:
    """Weights as layers begin with them; repeats by seed."""
    with seeded(seed):
        for module in network.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
