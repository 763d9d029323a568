"""What the signature inside one file says, without the bundle that the file came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class SealState(StrEnum):
    """How far a seal can be believed."""

    VERIFIED = "verified"  # a certificate under the pinned root signed this file as it is
    ALTERED = "altered"  # it signed this file, of which something was changed afterwards
    MOVED = "moved"  # it signed another image
    REFUSED = "refused"  # signed by a stranger, expired, weaker than it must be, or damaged: it says nothing
    UNREAD = "not read"  # nothing is pinned to check it with, or a program is missing


@dataclass(frozen=True, kw_only=True)
class Seal:
    """`kind`: "DICOM signature" or "C2PA manifest". `what`: one line that explains the state, "" for VERIFIED.

    `signer`: the organisation that its certificate names, only where that is under the pinned root. `signed_at`: when
    it says that it signed (UTC, "" where it does not say). `changed`: what of the file to what happened to it.
    """

    kind: str
    state: SealState
    what: str = ""
    signer: str = ""
    signed_at: str = ""
    changed: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """For `veilmark verify --json`."""
        fields = {"kind": self.kind, "state": str(self.state), "what": self.what or None, "signer": self.signer or None}
        return {**fields, "signed_at": self.signed_at or None, "changed": dict(self.changed)}
