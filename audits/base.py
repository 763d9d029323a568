"""What every audit shares: what it is given, what it returns, its errors.

Audits measure; only policies say PASS, FAIL or UNKNOWN. An audit that could not have seen a leak answers
`no_power` or `not_assessable` with the reason, never a number that looks like innocence.

Errors::

    AuditError        anything this package refuses: what was wrong, where, what to do next
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from audits.marks import MarkCounts
from generators.data import ImageSet


class AuditError(Exception):
    """A refusal that a person can act on. `str()` is one line: what, where, what to do."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))


class Status(StrEnum):
    """What an audit found. Only DETECTED and NOT_DETECTED are findings; the others mean that it could not tell."""

    DETECTED = "detected"
    NOT_DETECTED = "not_detected"
    NO_POWER = "no_power"
    NOT_ASSESSABLE = "not_assessable"


class Law(StrEnum):
    """The three risks by which the law calls data anonymous or not (WP216, section 2.2; GDPR, recital 26)."""

    SINGLING_OUT = "singling_out"
    LINKABILITY = "linkability"
    INFERENCE = "inference"


class ReleaseMode(StrEnum):
    """What a receiver holds: images alone, a service that draws on demand, or the generator's weights."""

    SAMPLES = "samples"
    QUERY = "query"
    WEIGHTS = "weights"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One figure with everything that a reader needs to doubt it (fields as in the contract's JSON).

    value, ci_low, ci_high: None where the audit could not measure. n: subjects (or images) per arm.
    baseline: the same figure, real against real at equal n. reason: why the status is what it is, in one line.
    law: the risk that a privacy figure speaks about; None for figures of worth. p_value: of "nothing leaked", for the
    statistic registered before the data were seen, one-sided; None for figures that accuse nobody.
    internal: what must not leave the site (nearest pairs, distances, per-subject figures).
    """

    name: str
    status: Status
    unit: str
    method: str
    source: str
    release_mode: ReleaseMode = ReleaseMode.SAMPLES
    law: Law | None = None
    p_value: float | None = None
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    confidence_level: float = 0.95
    n: Mapping[str, int] = field(default_factory=dict)
    baseline: float | None = None
    positive_control: float | None = None
    negative_control: float | None = None
    reason: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    internal: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AuditInput:
    """What an audit may look at. Arms never share a subject; all arms have the same size and depth.

    generator: the folder of the generator that drew the synthetic images. public: real images that nobody needs to
    protect, of the same size and depth: what a receiver's detector learns from, and what the generator's card names.
    embedding: in which features fidelity is measured, `network` (trained on the control arm), `histograms`, `pixels` or
    the path of an ONNX file. marks: what a detector found of the synthetic images' marks.
    """

    train: ImageSet
    holdout: ImageSet
    synthetic: ImageSet
    control: ImageSet | None = None
    generator: Path | None = None
    public: ImageSet | None = None
    embedding: str = "network"
    marks: MarkCounts | None = None
    seed: int = 0


class Audit(Protocol):
    """One audit: one decorated function in one file (see `registry.audit`)."""

    def __call__(self, data: AuditInput) -> list[Measurement]: ...


Progress = Callable[[int, int, str], None]
