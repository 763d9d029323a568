"""A reader study: clinicians judge, blinded, which images are real and how real they look."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from veilmark.core.models import BaseModel
from veilmark.synthetic_sets.models import SyntheticSet


class ReaderStudy(BaseModel):
    """Synthetic images and real holdout images in one random order, the same for every reader."""

    synthetic_set = models.ForeignKey(SyntheticSet, on_delete=models.PROTECT, related_name="reader_studies")
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]


class ReaderItem(BaseModel):
    """One image to be judged. `source_index` is its row in the synthetic set or in the cohort."""

    study = models.ForeignKey(ReaderStudy, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    is_synthetic = models.BooleanField()
    source_index = models.PositiveIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["study", "position"], name="reader_item_position")]


class Reading(BaseModel):
    """One clinician's judgement of one image: given once, never changed."""

    item = models.ForeignKey(ReaderItem, on_delete=models.PROTECT, related_name="readings")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="readings")
    judged_synthetic = models.BooleanField()
    realism = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "reader"], name="one_reading_per_reader")]
