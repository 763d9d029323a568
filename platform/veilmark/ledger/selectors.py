"""Reading the ledger."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Model, QuerySet

from generators.privacy import GaussianEvent, PrivacySpend
from veilmark.core.models import label_of
from veilmark.ledger.models import Event, PrivacySpendRecord


def events_of(subject: Model) -> QuerySet[Event]:
    """Everything that happened to one thing, oldest first."""
    return Event.objects.filter(subject_type=label_of(subject), subject_id=str(subject.pk))


def cohort_spends(cohort_id: UUID) -> list[PrivacySpend]:
    """What every run on the cohort spent, or has reserved and not settled: the failed and the killed count too."""
    return [spend_of(record) for record in PrivacySpendRecord.objects.filter(cohort_id=cohort_id)]


def spend_of(record: PrivacySpendRecord) -> PrivacySpend:
    return PrivacySpend(
        spent_epsilon=record.epsilon,
        delta=record.delta,
        accountant=record.accountant,
        events=tuple(GaussianEvent(**event) for event in record.events),
        privacy_unit=record.privacy_unit,
        adjacency=record.adjacency,
    )
