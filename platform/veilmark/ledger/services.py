"""Appending to the ledger. Every change of state calls `event_append` inside its own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction

from generators.privacy import PrivacySpend
from veilmark.accounts.models import User
from veilmark.core.errors import StateError
from veilmark.core.models import label_of
from veilmark.ledger.chain import GENESIS, Head, canonical, digest_of, head_write, sign
from veilmark.ledger.models import Event, PrivacySpendRecord

APPEND_LOCK = 0x7665696C  # one number for the whole installation: "veil"


def event_append(
    *,
    kind: str,
    actor: User | None,
    subject: models.Model | tuple[str, str] | None = None,
    payload: Mapping[str, Any] | None = None,
) -> Event:
    """Append one event: `kind` reads `release:published`; `actor` None is the system; payload must be plain JSON.

    Must be called inside the transaction of the change that it records (RuntimeError otherwise), so that both are
    committed or neither is. Writers follow one another: SQLite's IMMEDIATE transaction holds the only write lock
    from its start, PostgreSQL takes an advisory lock until the commit.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("event_append needs the transaction of the change that it records")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [APPEND_LOCK])
    last = Event.objects.order_by("-sequence").values_list("sequence", "digest").first()
    sequence, previous_digest = (last[0] + 1, last[1]) if last else (1, GENESIS)
    subject_type, subject_id = _subject(subject)
    event = Event(
        sequence=sequence,
        kind=kind,
        actor=actor,
        subject_type=subject_type,
        subject_id=subject_id,
        payload_text=canonical(dict(payload or {})),
        created_at=datetime.now(UTC),
        previous_digest=previous_digest,
    )
    event.digest = digest_of(event)
    event.signature = sign(event.digest)
    event.save(force_insert=True)
    head = Head(sequence=sequence, digest=event.digest)
    # robust: the change is committed by then, so a head that cannot be written is logged, not raised
    transaction.on_commit(lambda: head_write(head), robust=True)
    return event


def _subject(subject: models.Model | tuple[str, str] | None) -> tuple[str, str]:
    if subject is None:
        return "", ""
    if isinstance(subject, models.Model):
        return label_of(subject), str(subject.pk)
    return subject[0], str(subject[1])


@transaction.atomic
def spend_reserve(
    *, cohort_id: UUID, run_id: UUID, planned: PrivacySpend, acting_user: User | None
) -> PrivacySpendRecord:
    """Record the whole planned spend before the run looks at private data (privacy.md 8).

    A resumed run reserves again: the same plan changes nothing; another plan, or a settled run, raises StateError.
    """
    fields = _spend_fields(planned)
    record, created = PrivacySpendRecord.objects.get_or_create(
        run_id=run_id, defaults={"cohort_id": cohort_id, **fields}
    )
    if created:
        _spend_event("privacy:reserved", record, acting_user)
    elif record.phase == record.Phase.SETTLED or record.cohort_id != cohort_id or _differs(record, fields):
        raise StateError("reserved another spend before", where=f"run {run_id}", remedy="start a new run")
    return record


@transaction.atomic
def spend_settle(*, run_id: UUID, spent: PrivacySpend, acting_user: User | None) -> PrivacySpendRecord:
    """Replace the reservation by what was spent. Settling twice with the same figures changes nothing."""
    record = PrivacySpendRecord.objects.select_for_update().filter(run_id=run_id).first()
    if record is None:
        raise StateError("reserved nothing", where=f"run {run_id}", remedy="reserve before the run starts")
    fields = _spend_fields(spent)
    if record.phase == record.Phase.SETTLED:
        if _differs(record, fields):
            raise StateError("was settled with other figures", where=f"run {run_id}", remedy="start a new run")
        return record
    for name, value in fields.items():
        setattr(record, name, value)
    record.phase = record.Phase.SETTLED
    record.save()
    _spend_event("privacy:settled", record, acting_user)
    return record


def _spend_fields(spend: PrivacySpend) -> dict[str, Any]:
    return {
        "epsilon": spend.spent_epsilon,
        "delta": spend.delta,
        "accountant": spend.accountant,
        "privacy_unit": spend.privacy_unit,
        "adjacency": spend.adjacency,
        "events": [asdict(event) for event in spend.events],
    }


def _differs(record: PrivacySpendRecord, fields: Mapping[str, Any]) -> bool:
    return any(getattr(record, name) != value for name, value in fields.items())


def _spend_event(kind: str, record: PrivacySpendRecord, acting_user: User | None) -> None:
    names = ("epsilon", "delta", "accountant", "privacy_unit", "adjacency", "events")
    payload = {name: getattr(record, name) for name in names}
    payload |= {"cohort_id": str(record.cohort_id), "run_id": str(record.run_id)}
    event_append(kind=kind, actor=acting_user, subject=record, payload=payload)
