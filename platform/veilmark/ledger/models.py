"""What happened, in order, never changed; and what privacy was spent."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import models

from veilmark.core.errors import StateError
from veilmark.core.models import AppendOnly, BaseModel


class Event(AppendOnly):
    """One link of the chain. Written by `event_append` alone; triggers in the database refuse every later change.

    payload_text: canonical JSON, kept as text because the digest covers its bytes (a JSON column may rewrite numbers).
    digest: `sha256:<hex>` over all fields above it and the previous event's digest.
    signature: Ed25519 over the digest, in hex.
    """

    sequence = models.PositiveBigIntegerField(primary_key=True)
    kind = models.CharField(max_length=100, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    subject_type = models.CharField(max_length=100, blank=True)
    subject_id = models.CharField(max_length=100, blank=True)
    payload_text = models.TextField()
    created_at = models.DateTimeField()
    previous_digest = models.CharField(max_length=71)
    digest = models.CharField(max_length=71, unique=True)
    signature = models.CharField(max_length=128)

    class Meta:
        ordering = ["sequence"]
        indexes = [models.Index(fields=["subject_type", "subject_id"], name="event_subject")]

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind}"

    @classmethod
    def refusal(cls, done: str) -> StateError:
        remedy = "append a new event that corrects it"
        return StateError(f"an event cannot be {done}", where="ledger", remedy=remedy)

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(self.payload_text)
        return payload


class PrivacySpendRecord(BaseModel):
    """What one run may spend at most (reserved) and what it did spend (settled), per subject of the cohort.

    The cohort and the run are named by id alone: their apps stand above this one.
    """

    class Phase(models.TextChoices):
        RESERVED = "reserved", "Reserved"
        SETTLED = "settled", "Settled"

    cohort_id = models.UUIDField(db_index=True)
    run_id = models.UUIDField(unique=True)
    phase = models.CharField(max_length=16, choices=Phase.choices, default=Phase.RESERVED)
    epsilon = models.FloatField()
    delta = models.FloatField()
    accountant = models.CharField(max_length=16)
    privacy_unit = models.CharField(max_length=16)
    adjacency = models.CharField(max_length=32)
    events = models.JSONField()

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"{self.phase}: epsilon {self.epsilon:.3g} at delta {self.delta:g} ({self.accountant})"
