"""How the images of each row are made: real ones, a simulator's, a generator's, a peer's."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from audits.base import AuditError
from audits.bench.cells import NONE, REAL, SIMULATOR, Cell
from audits.bench.datasets import Simulator
from audits.bench.peers import PEERS, PeerJob, run_peer
from generators.base import GeneratorError
from generators.conditions import even_counts
from generators.config import build_config
from generators.data import ImageSet
from generators.privacy import PrivacySpend
from generators.registry import GENERATORS, get_generator
from generators.runner import sample_generator, train_generator

# Rows that need something of the operator's: left out unless this setting is given.
NEEDS = {"lora": "base"}
# Peers of ours that are registered as generators are named before the rest.
FIRST = ("mean-embedding",)


@dataclass(frozen=True, kw_only=True)
class Made:
    """The images of a row and what they took. gpu: the device's name, empty without one."""

    images: ImageSet
    spend: PrivacySpend | None = None
    cpu_s: float | None = None
    wall_s: float | None = None
    gpu_s: float | None = None
    gpu: str = ""


@dataclass(frozen=True, kw_only=True)
class Material:
    """What rows are made from. train: the arm that generators see."""

    train: ImageSet
    public: ImageSet | None
    simulate: Simulator | None
    device: str


def all_rows(settings: Mapping[str, Sequence[str]]) -> list[str]:
    """Every row that can be made without asking for more: those of NEEDS only where their setting is given."""
    ours = [*FIRST, *(name for name in GENERATORS if name not in FIRST)]
    ready = [name for name in ours if name in GENERATORS and not _needs(name, settings.get(name, ()))]
    known = [name for name in ready if name not in FIRST]
    return [REAL, SIMULATOR, *(name for name in FIRST if name in ready), *PEERS, *known]


def check_row(row: str, settings: Sequence[str]) -> None:
    """Refuse an unknown row or setting before any work. Raises AuditError or ConfigError."""
    family = row.removesuffix(NONE)
    values = dict(pair.split("=", 1) for pair in settings)
    if row in {REAL, SIMULATOR}:
        if values:
            raise AuditError("has no settings", where=row, remedy="set those of a generator")
    elif row in PEERS:
        build_config(PEERS[row].config_class, values)
    elif family in GENERATORS:
        if _needs(family, settings):
            raise AuditError(f"needs {NEEDS[family]}", where=row, remedy=f"give --set {family}.{NEEDS[family]}=...")
        build_config(get_generator(family).config_class, values)
    else:
        known = ", ".join([REAL, SIMULATOR, *PEERS, *GENERATORS])
        raise AuditError(f"no such generator: {row}", where="bench", remedy=f"choose of {known}, NAME{NONE}")


def make_images(cell: Cell, material: Material) -> Made:
    """The row's images. Raises GeneratorError or AuditError where it cannot be made for this cohort."""
    if cell.row == REAL:
        return Made(images=material.train)
    before = _Clock.now()
    spend = None
    if cell.row == SIMULATOR:
        images = _simulated(cell, material)
    elif cell.row in PEERS:
        images, spend = _of_peer(cell, material)
    else:
        images, spend = _of_generator(cell, material)
    gpu = _gpu_name(material.device) if cell.row != SIMULATOR else ""
    after = _Clock.now()
    wall = after.wall - before.wall
    return Made(
        images=images, spend=spend, cpu_s=after.cpu - before.cpu, wall_s=wall, gpu_s=wall if gpu else None, gpu=gpu
    )


def _of_generator(cell: Cell, material: Material) -> tuple[ImageSet, PrivacySpend]:
    """Train and sample; the generator's folder is not kept."""
    get_generator(cell.family)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "generator"
        card = train_generator(
            name=cell.family,
            images=material.train,
            budget=cell.budget(),
            config=cell.config,
            out=folder,
            seed=cell.seed,
            public=material.public,
            device=material.device,
        )
        images = sample_generator(folder, even_counts(card.labels, cell.n_images), seed=cell.seed)
    return images, card.spend


def _of_peer(cell: Cell, material: Material) -> tuple[ImageSet, PrivacySpend]:
    job = PeerJob(
        images=material.train, budget=cell.budget(), n_images=cell.n_images, seed=cell.seed, device=material.device
    )
    return run_peer(cell.row, job, cell.config)


def _simulated(cell: Cell, material: Material) -> ImageSet:
    if material.simulate is None:
        raise AuditError("there is no simulator of such images", where=SIMULATOR, remedy="leave the row out")
    assert material.train.label is not None  # noqa: S101 - checked when the cohort was read
    side = material.train.images.shape[1]
    # More than are needed: a simulator's labels need not come out even.
    drawn = material.simulate(cell.n_images + 200, side, cell.seed)
    counts = even_counts(sorted(set(material.train.label.tolist())), cell.n_images)
    rows = [np.flatnonzero(drawn.label == count.label)[: count.n] for count in counts]
    return drawn.select(np.concatenate(rows))


def _needs(family: str, settings: Sequence[str]) -> bool:
    return family in NEEDS and not any(pair.startswith(f"{NEEDS[family]}=") for pair in settings)


def _gpu_name(device: str) -> str:
    """The CUDA device that the row could use; empty on the CPU. Waits for it, so that the clock is right."""
    import torch  # noqa: PLC0415 - rows without networks need not load it

    if device == "cpu" or not torch.cuda.is_available():
        return ""
    torch.cuda.synchronize()
    return str(torch.cuda.get_device_name())


@dataclass(frozen=True, kw_only=True)
class _Clock:
    cpu: float
    wall: float

    @classmethod
    def now(cls) -> _Clock:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(cpu=used.ru_utime + used.ru_stime, wall=time.monotonic())


def spend_of_row(made: Made, cell: Cell) -> dict[str, object] | None:
    """The spend as JSON, in the cell's unit; an infinite epsilon, which JSON lacks, as None."""
    if made.spend is None:
        return None
    spent = asdict(made.spend) | {"privacy_unit": cell.unit}
    return spent if np.isfinite(made.spend.spent_epsilon) else spent | {"spent_epsilon": None}


REFUSALS = (AuditError, GeneratorError)
