"""What a publisher says by The Update Framework: whom to believe, and which releases were taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from veilmark.provenance.digests import check_digest
from veilmark.provenance.strict_json import check_keys, parse_object, readable_json, take_list
from veilmark.provenance.trust import TrustRoot

TRUST_ROOT = "trust-root.json"
REVOKED = "revoked.json"
_SCHEMA = "veilmark/revoked-releases/1"
_MAX_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Roots:
    """`revoked`: manifest digests of releases that were taken back."""

    trust_root: TrustRoot
    revoked: Sequence[str] = ()

    def files(self) -> Mapping[str, bytes]:
        """By name."""
        revoked = {"schema": _SCHEMA, "manifest_digests": sorted(set(self.revoked))}
        return {TRUST_ROOT: self.trust_root.to_bytes(), REVOKED: readable_json(revoked)}

    @classmethod
    def parse(cls, files: Mapping[str, bytes]) -> Roots:
        """Raises FormatError."""
        body = parse_object(files[REVOKED], where=REVOKED, max_bytes=_MAX_BYTES)
        check_keys(body, ("schema", "manifest_digests"), where=REVOKED)
        digests = take_list(body, "manifest_digests", str, where=REVOKED)
        return cls(
            trust_root=TrustRoot.parse(files[TRUST_ROOT], where=TRUST_ROOT),
            revoked=tuple(check_digest(digest, where=REVOKED) for digest in digests),
        )
