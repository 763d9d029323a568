"""An audit run: every audit applied once to the final files of one synthetic set."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from veilmark.jobs.work import Work
from veilmark.synthetic_sets.models import SyntheticSet


class AuditRun(Work):
    """`report` is the publishable form; the internal one lies encrypted in the file store (privacy.md 11)."""

    synthetic_set = models.ForeignKey(SyntheticSet, on_delete=models.PROTECT, related_name="audit_runs")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    seed = models.BigIntegerField()
    content_root = models.CharField(max_length=71, blank=True, help_text="recomputed from the bytes that were read")
    report = models.JSONField(default=dict)
    report_digest = models.CharField(max_length=71, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"audit of {self.synthetic_set}"
