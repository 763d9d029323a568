"""A decision: the outcome of one profile's rules on the facts of one synthetic set, with every reason."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from veilmark.audit_runs.models import AuditRun
from veilmark.core.models import BaseModel


class Outcome(models.TextChoices):
    PASS = "PASS", "PASS"
    FAIL = "FAIL", "FAIL"
    UNKNOWN = "UNKNOWN", "UNKNOWN"


class Decision(BaseModel):
    """Written once and never changed: a new phase or new facts make a new decision."""

    audit_run = models.ForeignKey(AuditRun, on_delete=models.PROTECT, related_name="decisions")
    profile = models.CharField(max_length=50)
    phase = models.CharField(max_length=20)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.TextField()
    body = models.JSONField(help_text="policies.Decision as JSON: rule by rule outcome, got, want, reason, citation")
    facts = models.JSONField()
    facts_digest = models.CharField(max_length=71)
    profile_digest = models.CharField(max_length=71)
    engine_digest = models.CharField(max_length=71)
    made_for = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.outcome} under {self.profile} ({self.phase})"
