"""An audit run: every audit applied once to the final files of one synthetic set; what people say of its flags."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from veilmark.core.errors import StateError
from veilmark.core.models import AppendOnly, BaseModel
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
    n_flagged_copies = models.PositiveIntegerField(null=True, help_text="pairs; None: from before they were counted")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"audit of {self.synthetic_set}"


class CopyAnswer(models.TextChoices):
    COPY = "copy", "a copy"
    NOT_COPY = "not_copy", "not a copy"
    CANNOT_TELL = "cannot_tell", "cannot tell"


class CopyReview(AppendOnly, BaseModel):
    """What one person says of one flagged pair. Rows are added only: a later answer of the same person stands.

    sequence: from 1 in each audit run, without a gap. pair: its number in the run's internal report, which alone says
    whose images those are.
    """

    audit_run = models.ForeignKey(AuditRun, on_delete=models.PROTECT, related_name="copy_reviews")
    sequence = models.PositiveIntegerField()
    pair = models.PositiveIntegerField()
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=20, choices=CopyAnswer.choices)
    reason = models.TextField()

    class Meta:
        ordering = ["sequence"]
        constraints = [models.UniqueConstraint(fields=["audit_run", "sequence"], name="one_review_per_sequence")]

    def __str__(self) -> str:
        return f"pair {self.pair}: {self.get_answer_display()}"

    @classmethod
    def refusal(cls, done: str) -> StateError:
        remedy = "answer again: the later one stands"
        return StateError(f"an answer cannot be {done}", where="flagged pair", remedy=remedy)
