"""A synthetic set: the images that one generator drew, marked, written and digested."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models

from veilmark.jobs.work import Work
from veilmark.provenance.embedded.visible_label import MIN_BURNED_SIDE, VisibleLabel
from veilmark.training_runs.models import TrainingRun

MAX_SERIAL = 2**20 - 1  # the mark's id has 20 bits for it
VISIBLE_LABELS = [
    (VisibleLabel.NONE.value, "none"),
    (VisibleLabel.BURNED_IN.value, f"burned in, from {MIN_BURNED_SIDE} pixels"),
    (VisibleLabel.BORDER.value, "on a strip below it"),
    (VisibleLabel.OVERLAY.value, "overlay, in DICOM viewers alone"),
]


class SyntheticSet(Work):
    """Drawn once from a seed and fixed: `content_root` is the Merkle root that audits, decisions and people bind."""

    training_run = models.ForeignKey(TrainingRun, on_delete=models.PROTECT, related_name="synthetic_sets")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    serial = models.PositiveIntegerField(unique=True, validators=[MaxValueValidator(MAX_SERIAL)])
    seed = models.BigIntegerField()
    counts = models.JSONField(help_text="how many images per label and group")
    n_images = models.PositiveIntegerField()
    visible_label = models.CharField(
        max_length=16,
        choices=VISIBLE_LABELS,
        default=VisibleLabel.NONE.value,
        help_text="where the word SYNTHETIC stands in each image",
    )
    generator_digest = models.CharField(max_length=71)
    content_root = models.CharField(max_length=71, blank=True)
    n_mark_detected = models.PositiveIntegerField(null=True)
    mark_survival = models.JSONField(default=dict, help_text="what an attack suite left of the marks of a sample")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"set {self.serial} of {self.training_run}"

    @property
    def public_id(self) -> str:
        """The name that the images carry in their own metadata, before and after they are released."""
        return f"vm-{self.serial:07d}"
