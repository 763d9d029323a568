"""What every generator shares: its protocol, its card, its errors, and the ports it is given.

Root packages compute and remember nothing: whoever calls passes in a recorder of spends (`SpendRecorder`) and a
progress callback (`Progress`), so the same code runs in a notebook, on the command line and under the platform.

Errors::

    GeneratorError            anything this package refuses: what was wrong, where, what to do next
    +-- DataError             images or metadata that cannot be used
    +-- ConfigError           a setting out of its range, an unknown generator
    +-- BudgetError           a privacy budget that is invalid, or that a run would exceed
    +-- ResumeError           a run folder that cannot be resumed or read
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from generators.data import ImageSet
    from generators.privacy import PrivacyBudget, PrivacySpend, StepRecord


class GeneratorError(Exception):
    """A refusal that a person can act on. `str()` is one line: what, where, what to do."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))


class DataError(GeneratorError):
    """Images or metadata that cannot be used."""


class ConfigError(GeneratorError):
    """A setting out of its range, or the name of no generator."""


class BudgetError(GeneratorError):
    """A privacy budget that is invalid or would be exceeded."""


class ResumeError(GeneratorError):
    """A run folder that cannot be resumed or read."""


class Progress(Protocol):
    """Told how far a long step has come; called from the same thread, often, and must be cheap."""

    def __call__(self, done: int, total: int, message: str = "") -> None: ...


def no_progress(done: int, total: int, message: str = "") -> None:
    """The progress callback of callers who do not look."""


class SpendRecorder(Protocol):
    """Where privacy spends become durable (privacy.md 8). Every method returns only when the record is on disk."""

    def reserve(self, planned: PrivacySpend) -> None:
        """Record the whole planned spend before the run touches private data."""

    def step(self, record: StepRecord) -> None:
        """Record one step's cost BEFORE its noise is drawn."""

    def settle(self, spent: PrivacySpend) -> None:
        """Record what the run spent in the end (an upper bound where a run was killed)."""


@dataclass(frozen=True, kw_only=True)
class CellCount:
    """How many images to sample for one combination of label and groups. Empty string: not conditioned on."""

    label: str
    n: int
    sex: str = ""
    age_group: str = ""


@dataclass(frozen=True, kw_only=True)
class GeneratorCard:
    """`generator.json`: what a trained generator is and what it cost. Holds no figure computed from private data
    without noise, apart from the data digest, which stays on site when the card is published."""

    name: str
    config: Mapping[str, object]
    data_digest: str
    budget: PrivacyBudget
    spend: PrivacySpend
    labels: Sequence[str]
    sexes: Sequence[str]
    age_groups: Sequence[str]
    image_size: int
    bit_depth: int
    channels: int
    public_data: Sequence[Mapping[str, str]]
    seed: int
    versions: Mapping[str, str]
    schema: str = "veilmark/generator/1"
    notes: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run, as a generator is given it.

    images: the train split. config: values for `config_class`. out: the generator folder, made and checked.
    seed: repeats initial weights and public steps, never anything private. public: the operator's public images.
    device: auto, cpu or cuda. resume: whether `out` holds a killed run of the same fingerprint.
    """

    images: ImageSet
    budget: PrivacyBudget
    config: Mapping[str, object]
    out: Path
    seed: int
    public: ImageSet | None
    device: str
    recorder: SpendRecorder
    progress: Progress
    resume: bool


class Generator(Protocol):
    """One family of generators. One file implements it; one line in `registry.py` names it."""

    name: str
    config_class: type[object]

    def train(self, run: Run) -> GeneratorCard:
        """Train within `run.budget` and leave a generator folder in `run.out` (card, safetensors, steps.log).

        Raises GeneratorError.
        """

    def sample(self, folder: Path, counts: Sequence[CellCount], *, seed: int, progress: Progress) -> ImageSet:
        """Draw synthetic images from a generator folder: deterministic in `seed`, free of privacy cost."""
