"""The release's states and the moves between them: one table, which services, pages, documents and tests read."""

from __future__ import annotations

from django.db import models

from veilmark.accounts.models import Role
from veilmark.core.state_machine import Transition


class ReleaseState(models.TextChoices):
    DRAFT = "draft", "draft"
    AUDITING = "auditing", "being audited"
    READY = "ready", "ready"
    FAILED = "failed", "failed"
    CLINICAL = "clinical", "with clinicians"
    IN_REVIEW = "in_review", "in review"
    REVIEWED = "reviewed", "reviewed"
    RETURNED = "returned", "returned"
    REJECTED = "rejected", "rejected"
    APPROVED = "approved", "approved"
    RELEASED = "released", "released"
    SUSPENDED = "suspended", "suspended"
    REVOKED = "revoked", "revoked"
    EXPIRED = "expired", "expired"
    WITHDRAWN = "withdrawn", "withdrawn"


SYSTEM = ("system",)
CUSTODIAN = (Role.CUSTODIAN,)
OFFICER = (Role.COMPLIANCE_OFFICER,)

_S = ReleaseState


def _move(
    source: ReleaseState, target: ReleaseState, actor_roles: tuple[str, ...], event: str, guard: str
) -> Transition:
    return Transition(source=source, target=target, actor_roles=actor_roles, event=f"release:{event}", guard=guard)


TRANSITIONS: tuple[Transition, ...] = (
    _move(_S.DRAFT, _S.AUDITING, CUSTODIAN, "submitted", "the cohort's data contract passed"),
    _move(_S.AUDITING, _S.READY, SYSTEM, "ready", "facts complete, no blocking rule failed"),
    _move(_S.AUDITING, _S.FAILED, SYSTEM, "failed", "a blocking rule failed or is unknown"),
    _move(_S.FAILED, _S.DRAFT, CUSTODIAN, "reopened", "a new version"),
    _move(_S.READY, _S.CLINICAL, CUSTODIAN, "sent_to_clinicians", "no block"),
    _move(_S.CLINICAL, _S.IN_REVIEW, SYSTEM, "review_opened", "the profile's reader quorum is met"),
    _move(_S.IN_REVIEW, _S.REVIEWED, OFFICER, "reviewed", "two independent blind votes"),
    _move(_S.REVIEWED, _S.RETURNED, OFFICER, "returned", "a stated reason"),
    _move(_S.REVIEWED, _S.REJECTED, OFFICER, "rejected", "a stated reason"),
    _move(_S.RETURNED, _S.DRAFT, CUSTODIAN, "reopened", "earlier votes void"),
    _move(_S.REVIEWED, _S.APPROVED, OFFICER, "approved", "both signed the same digest"),
    _move(_S.APPROVED, _S.RELEASED, SYSTEM, "published", "digest endorsed = digest audited; rules evaluated again"),
    _move(_S.RELEASED, _S.SUSPENDED, OFFICER, "suspended", "a stated reason, at once"),
    _move(_S.SUSPENDED, _S.RELEASED, OFFICER, "reinstated", "two officers; rules evaluated again"),
    _move(_S.RELEASED, _S.REVOKED, OFFICER, "revoked", "two officers; recall notices"),
    _move(_S.SUSPENDED, _S.REVOKED, OFFICER, "revoked", "two officers; recall notices"),
    _move(_S.RELEASED, _S.EXPIRED, SYSTEM, "expired", "the end date passed"),
    _move(_S.EXPIRED, _S.AUDITING, CUSTODIAN, "resubmitted", "the current profile"),
    *(
        _move(state, _S.WITHDRAWN, CUSTODIAN, "withdrawn", "a stated reason")
        for state in (
            _S.DRAFT,
            _S.AUDITING,
            _S.READY,
            _S.FAILED,
            _S.CLINICAL,
            _S.IN_REVIEW,
            _S.REVIEWED,
            _S.RETURNED,
            _S.APPROVED,
        )
    ),
)
