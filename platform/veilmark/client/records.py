"""What the server tells a researcher, as frozen records. Fields that this version does not know are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from veilmark.client.errors import ClientError


@dataclass(frozen=True, kw_only=True)
class _Record:
    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Raises ClientError where the answer lacks a field."""
        try:
            return cls(**{row.name: answer[row.name] for row in fields(cls)})
        except (KeyError, TypeError) as error:
            raise ClientError(
                f"the answer is no {cls.__name__}", where="server", remedy="check its address, or update the client"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Release(_Record):
    """A released synthetic set. bundle_digest: of the zip. privacy: epsilon, delta, accountant, privacy_unit."""

    name: str
    title: str
    description: str
    n_images: int
    labels: Sequence[str]
    licence: str
    purposes: Sequence[str]
    privacy: Mapping[str, Any]
    bundle_digest: str
    published_at: str | None


@dataclass(frozen=True, kw_only=True)
class Agreement(_Record):
    """What a researcher accepts before asking for a release. digest: of the text."""

    version: str
    text: str
    digest: str
    accepted: bool


@dataclass(frozen=True, kw_only=True)
class AccessRequest(_Record):
    """state: submitted, approved, rejected, revoked. grant: the id of what it gave, or None."""

    id: str
    release: str
    purpose: str
    project: str
    state: str
    reason: str
    grant: str | None
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Grant(_Record):
    """Leave to download one release until `expires_at`. is_open: neither revoked nor past its end.

    bundle_digest: of this grant's own copy, "" until it is prepared. copy_error: why it could not be. recalled: why the
    release was taken back, "" where it was not.
    """

    id: str
    release: str
    purpose: str
    bundle_digest: str
    copy_error: str
    is_open: bool
    recalled: str
    expires_at: str
