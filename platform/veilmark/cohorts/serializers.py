"""Cohorts as the API reads and shows them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from veilmark.accounts.permissions import signed_in
from veilmark.cohorts.models import Cohort


class CohortPrivateSerializer(serializers.ModelSerializer[Cohort]):
    """What only the cohort's custodian is shown (privacy.md 3)."""

    n_subjects_by_split = serializers.DictField(child=serializers.IntegerField())
    duplicates = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))

    class Meta:
        model = Cohort
        fields = ["n_subjects", "n_images", "n_subjects_by_split", "duplicates", "data_digest"]

    def to_representation(self, instance: Cohort) -> dict[str, Any] | None:  # type: ignore[override] # null is an answer
        is_own = instance.custodian_id == signed_in(self.context["request"]).pk
        return super().to_representation(instance) if is_own else None


class CohortSerializer(serializers.ModelSerializer[Cohort]):
    custodian = serializers.CharField(source="custodian.username")
    purposes = serializers.ListField(child=serializers.CharField())
    labels = serializers.ListField(child=serializers.CharField())
    private = CohortPrivateSerializer(source="*", allow_null=True, help_text="null for everybody but the custodian")

    class Meta:
        model = Cohort
        fields = [
            "id",
            "name",
            "custodian",
            "legal_basis",
            "purposes",
            "licence",
            "licence_permits_derivatives",
            "source_kind",
            "privacy_unit",
            "public_n_subjects",
            "epsilon_budget",
            "delta_budget",
            "image_height",
            "image_width",
            "channels",
            "bit_depth",
            "labels",
            "private",
            "created_at",
        ]


class CohortUploadSerializer(serializers.Serializer[None]):
    """A multipart form. `public_n_subjects` is a rounded bound that the custodian declares."""

    archive = serializers.FileField(help_text="a zip: images or images.npz with metadata.csv, or DICOM files")
    mapping = serializers.CharField(help_text="which column means what, as TOML", trim_whitespace=False)
    name = serializers.CharField(max_length=200)
    public_n_subjects = serializers.IntegerField()
    epsilon_budget = serializers.FloatField(default=10.0)
    delta_budget = serializers.FloatField(default=1e-5)
    split_seed = serializers.IntegerField(default=0, min_value=0, max_value=2**63 - 1)
