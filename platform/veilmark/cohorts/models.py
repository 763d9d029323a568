"""A cohort: the source images of many subjects, who answers for them, and what may be done with them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from veilmark.core.models import BaseModel


class Cohort(BaseModel):
    """Images of many subjects under one legal basis.

    `n_subjects`, `n_images` and the counts by split and label are private: they are shown to the custodian and never
    enter a formula.
    `public_n_subjects` is the declared, rounded bound that every formula uses (privacy.md 3).
    """

    name = models.CharField(max_length=200, unique=True)
    custodian = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="cohorts")
    legal_basis = models.CharField(max_length=300)
    purposes = models.JSONField(default=list)
    licence = models.CharField(max_length=300)
    licence_permits_derivatives = models.BooleanField(null=True, help_text="as the custodian states; null: not stated")
    source_kind = models.CharField(max_length=20)
    privacy_unit = models.CharField(max_length=10)
    public_n_subjects = models.PositiveIntegerField()
    epsilon_budget = models.FloatField(help_text="the largest epsilon per subject over all runs on this cohort")
    delta_budget = models.FloatField()
    n_subjects = models.PositiveIntegerField()
    n_images = models.PositiveIntegerField()
    image_height = models.PositiveIntegerField()
    image_width = models.PositiveIntegerField()
    channels = models.PositiveSmallIntegerField()
    bit_depth = models.PositiveSmallIntegerField()
    modality = models.CharField(
        max_length=16, default="", help_text="DICOM, as the custodian declares; empty: not stated"
    )
    labels = models.JSONField(default=list, help_text="the public vocabulary of labels")
    data_digest = models.CharField(max_length=71)
    wrapped_key = models.BinaryField(help_text="the cohort's own data key, wrapped by the site's master key")
    file_name = models.CharField(max_length=200)
    split_seed = models.BigIntegerField()
    n_subjects_by_split = models.JSONField(default=dict)
    n_train_subjects_by_label = models.JSONField(default=dict, help_text="private, as n_subjects; what training sees")
    duplicates = models.JSONField(default=list, help_text="pairs of names with identical pixels")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class ContractResult(BaseModel):
    """What Great Expectations found in one upload, check by check. A refused upload leaves this and nothing else."""

    cohort = models.OneToOneField(Cohort, on_delete=models.CASCADE, null=True, related_name="contract")
    upload_name = models.CharField(max_length=200)
    custodian = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="contract_results")
    passed = models.BooleanField()
    checks = models.JSONField(default=list)
    suite_digest = models.CharField(max_length=71)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.upload_name}: {'passed' if self.passed else 'refused'}"
