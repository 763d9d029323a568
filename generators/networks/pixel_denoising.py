"""What the families that denoise pixels share: their settings, and drawing with a finished network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from generators.base import CellCount, GeneratorCard, Progress
from generators.cards import card_vocabulary, synthetic_set
from generators.config import setting
from generators.data import ImageSet
from generators.networks.denoising import Denoiser, Drawing, NoiseProcess, draw_images
from generators.networks.starts import GaussianStart
from generators.networks.tensors import one_hot, pick_device
from generators.training import PrivateSettings


@dataclass(frozen=True, kw_only=True)
class DenoisingSettings(PrivateSettings):
    """Settings of a denoiser of pixels, those of the private loop first."""

    batch_size: int = setting(128, "expected subjects a step", low=1, changes_privacy=True)
    n_steps: int = setting(50, "private steps", low=1, high=1_000_000, changes_privacy=True)
    views: int = setting(4, "noise levels, each on an image of the subject, that one step looks at", low=1, high=64)
    average: float = setting(0.9, "decay of the moving average of weights that is kept; 0 for none", low=0, high=1)
    microbatch: int = setting(16, "subjects computed at once: memory and speed", low=1)
    condition_dropout: float = setting(0.1, "chance that a training image's condition is hidden", low=0, high=0.9)
    guidance: float = setting(1.5, "how strongly drawing follows the condition; 1: as trained", low=0, high=20)
    solver: str = setting("dpm-solver", "how images are drawn: dpm-solver or ddim")
    solver_steps: int = setting(20, "steps of the solver", low=2, high=1000)

    def drawing(self, process: NoiseProcess) -> Drawing:
        """How these settings draw from a network that was trained on that process."""
        return Drawing(process=process, solver=self.solver, n_steps=self.solver_steps, guidance=self.guidance)


def draw_set(
    network: Denoiser,
    card: GeneratorCard,
    drawing: Drawing,
    counts: Sequence[CellCount],
    *,
    seed: int,
    progress: Progress,
    start: GaussianStart | None = None,
) -> ImageSet:
    """Images of the cells, by a deterministic solver from noise that the seed repeats, in chunks."""
    vocabulary = card_vocabulary(card)
    cells = vocabulary.cells(counts)
    numbers = vocabulary.numbers(cells)
    pixels = draw_images(
        network.to(pick_device("auto")),
        one_hot(vocabulary, numbers),
        drawing,
        shape=(card.channels, card.image_size, card.image_size),
        seed=seed,
        progress=progress,
        start=None if start is None else start.draw(numbers[:, 0], seed=seed),
    )
    return synthetic_set(pixels.movedim(1, -1).numpy(), cells, card)
