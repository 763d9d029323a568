"""The report of a run of audits: what was measured, on which bytes, with which versions. Two forms (privacy.md 11)."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from audits.base import AuditInput, Measurement
from audits.verdicts import Verdict, decide

SCHEMA = "veilmark/audit-report/1"
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "prdc", "vendi-score")
CLAIM = (
    "Audits read private data without noise. Each training run carries its own differential privacy bound; "
    "the choice among runs by audits is not included in it."
)
PRIVATE_DIGESTS = ("train", "holdout", "control")


class Audience(StrEnum):
    """Who may read: INTERNAL stays on site, PUBLISHABLE holds verdicts and intervals only."""

    INTERNAL = "internal"
    PUBLISHABLE = "publishable"


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """Everything one run measured.

    verdicts: what the privacy measurements say together, per release mode and legal risk (`verdicts.decide`).
    inputs: `sha256:` digest of each arm and of the generator's card; n: images and people of each arm.
    n_runs: training runs on this cohort, where the caller knows (privacy.md 8 wants it printed). created_at: UTC.
    """

    measurements: Sequence[Measurement]
    verdicts: Sequence[Verdict]
    audits: Sequence[str]
    inputs: Mapping[str, str]
    n: Mapping[str, Mapping[str, int]]
    seed: int
    versions: Mapping[str, str]
    created_at: str
    n_runs: int | None = None
    schema: str = SCHEMA
    claim: str = CLAIM

    @classmethod
    def of(cls, data: AuditInput, measurements: Sequence[Measurement], *, audits: Sequence[str]) -> AuditReport:
        """The report on these arms, as of now."""
        arms = {
            name: arm
            for name in ("train", "holdout", "control", "synthetic", "public")
            if (arm := getattr(data, name)) is not None
        }
        return cls(
            measurements=tuple(measurements),
            verdicts=tuple(decide(measurements)),
            audits=tuple(audits),
            inputs={name: arm.digest for name, arm in arms.items()} | _card_digest(data.generator),
            n={name: {"images": len(arm), "subjects": arm.n_subjects} for name, arm in arms.items()},
            seed=data.seed,
            versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def seen_by(self, audience: Audience) -> AuditReport:
        """This report as that audience may see it; for PUBLISHABLE without internals, private digests, exact sizes."""
        if audience is Audience.INTERNAL:
            return self
        return replace(
            self,
            measurements=tuple(replace(m, internal={}, n=rounded(m.n)) for m in self.measurements),
            inputs={name: digest for name, digest in self.inputs.items() if name not in PRIVATE_DIGESTS},
            n={name: rounded(counts) for name, counts in self.n.items()},
        )

    def to_json(self, audience: Audience) -> dict[str, object]:
        """The contract's JSON, for one audience; `flags` and `internal` stand in the internal form only."""
        body = asdict(self.seen_by(audience))
        body["audience"] = audience.value
        for measurement in body["measurements"]:
            private = measurement.pop("internal")
            if audience is Audience.INTERNAL:
                measurement["flags"] = private.pop("flags", [])
                measurement["internal"] = private
        return body


def _card_digest(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    return {"generator": f"sha256:{hashlib.sha256((folder / 'generator.json').read_bytes()).hexdigest()}"}


def rounded(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts down to a multiple of ten: how many people a cohort holds is private (privacy.md 3)."""
    return {name: count // 10 * 10 for name, count in counts.items()}
