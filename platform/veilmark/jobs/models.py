"""Long work: what was asked for, how far it came, how it ended. The table is also the outbox (see `services.py`)."""

from django.conf import settings
from django.db import models

from veilmark.core.models import BaseModel


class Job(BaseModel):
    class State(models.TextChoices):
        ENQUEUED = "enqueued", "Enqueued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    task = models.CharField(max_length=100)
    arguments = models.JSONField(default=dict)
    key = models.CharField(max_length=200, null=True, unique=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.ENQUEUED, db_index=True)
    handed_over_at = models.DateTimeField(null=True)
    n_done = models.PositiveBigIntegerField(default=0)
    n_total = models.PositiveBigIntegerField(default=0)
    message = models.CharField(max_length=500, blank=True)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    subject_type = models.CharField(max_length=100, blank=True)
    subject_id = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["subject_type", "subject_id"], name="job_subject")]

    def __str__(self) -> str:
        return f"{self.task} {self.state}"

    @property
    def is_finished(self) -> bool:
        return self.state in {self.State.DONE, self.State.FAILED, self.State.CANCELLED}

    @property
    def percent(self) -> int:
        """Whole percent done, 0 where the total is not known yet."""
        return min(100, 100 * self.n_done // self.n_total) if self.n_total else 0
