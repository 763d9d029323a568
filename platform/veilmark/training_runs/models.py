"""A training run: one generator trained once on one cohort, and what that cost its subjects."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from veilmark.cohorts.models import Cohort
from veilmark.jobs.work import Work


class TrainingRun(Work):
    """The configuration is fixed at the start; the card and the spend arrive at the end."""

    cohort = models.ForeignKey(Cohort, on_delete=models.PROTECT, related_name="training_runs")
    trainer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="training_runs")
    generator = models.CharField(max_length=50)
    config = models.JSONField(default=dict)
    image_size = models.PositiveIntegerField()
    target_epsilon = models.FloatField()
    target_delta = models.FloatField()
    accountant = models.CharField(max_length=10)
    seed = models.BigIntegerField()
    device = models.CharField(max_length=10, default="auto")
    public_data = models.CharField(max_length=500, blank=True, help_text="a public image set on the server, or none")
    card = models.JSONField(default=dict)
    spent_epsilon = models.FloatField(null=True)
    generator_digest = models.CharField(max_length=71, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.generator} on {self.cohort.name}"
