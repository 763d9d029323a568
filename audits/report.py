"""The report of a run of audits: what was measured, on which bytes, with which versions. Two forms (privacy.md 11)."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version

from audits.base import AuditInput, Measurement

SCHEMA = "veilmark/audit-report/1"
LIBRARIES = ("numpy", "scipy", "scikit-learn", "prdc")
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

    inputs: `sha256:` digest of each arm; n: images and people of each arm. created_at: UTC, ISO 8601.
    """

    measurements: Sequence[Measurement]
    audits: Sequence[str]
    inputs: Mapping[str, str]
    n: Mapping[str, Mapping[str, int]]
    seed: int
    versions: Mapping[str, str]
    created_at: str
    schema: str = SCHEMA
    claim: str = CLAIM

    @classmethod
    def of(cls, data: AuditInput, measurements: Sequence[Measurement], *, audits: Sequence[str]) -> AuditReport:
        """The report on these arms, as of now."""
        arms = {
            name: arm
            for name in ("train", "holdout", "control", "synthetic")
            if (arm := getattr(data, name)) is not None
        }
        return cls(
            measurements=tuple(measurements),
            audits=tuple(audits),
            inputs={name: arm.digest for name, arm in arms.items()},
            n={name: {"images": len(arm), "subjects": arm.n_subjects} for name, arm in arms.items()},
            seed=data.seed,
            versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def to_json(self, audience: Audience) -> dict[str, object]:
        """The contract's JSON. The publishable form drops `internal` and the digests of private arms."""
        body = asdict(self)
        body["audience"] = audience.value
        for measurement in body["measurements"]:
            private = measurement.pop("internal")
            if audience is Audience.INTERNAL:
                measurement["flags"] = private.pop("flags", [])
                measurement["internal"] = private
        if audience is Audience.PUBLISHABLE:
            body["inputs"] = {name: digest for name, digest in self.inputs.items() if name not in PRIVATE_DIGESTS}
        return body
