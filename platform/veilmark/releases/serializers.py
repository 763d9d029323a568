"""Releases as the API reads and shows them."""

from __future__ import annotations

from rest_framework import serializers

from policies.profile import profile_names
from veilmark.releases.models import Endorsement, Motion, Release, Review, Vote
from veilmark.releases.review import MOTION_TARGETS


class PrivacySerializer(serializers.Serializer[None]):
    """The generator's guarantee, per subject: the epsilon that was spent, at which delta, by which accountant."""

    epsilon = serializers.FloatField(source="spent_epsilon")
    delta = serializers.FloatField(source="target_delta")
    accountant = serializers.CharField()
    privacy_unit = serializers.CharField(source="cohort.privacy_unit")


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    """`bundle_digest` is of the zip that is downloaded; `content_root` is what audits, decision and people bind."""

    custodian = serializers.CharField(source="custodian.username")
    synthetic_set = serializers.UUIDField(source="synthetic_set_id")
    audit_run = serializers.UUIDField(source="audit_run_id", allow_null=True)
    decision = serializers.UUIDField(source="decision_id", allow_null=True)
    outcome = serializers.CharField(source="decision.outcome", default=None, allow_null=True)
    n_images = serializers.IntegerField(source="synthetic_set.n_images")
    visible_label = serializers.CharField(source="synthetic_set.visible_label")
    content_root = serializers.CharField(source="synthetic_set.content_root")
    privacy = PrivacySerializer(source="synthetic_set.training_run")
    labels = serializers.ListField(child=serializers.CharField(), source="synthetic_set.training_run.cohort.labels")
    licence = serializers.CharField(source="synthetic_set.training_run.cohort.licence")
    purposes = serializers.ListField(
        child=serializers.CharField(),
        source="synthetic_set.training_run.cohort.purposes",
        help_text="what it may serve",
    )

    class Meta:
        model = Release
        fields = [
            "id",
            "name",
            "title",
            "description",
            "custodian",
            "synthetic_set",
            "audit_run",
            "decision",
            "outcome",
            "profile",
            "state",
            "state_reason",
            "round",
            "n_images",
            "visible_label",
            "labels",
            "licence",
            "purposes",
            "privacy",
            "content_root",
            "manifest_digest",
            "bundle_digest",
            "signer_key_id",
            "created_at",
            "published_at",
            "expires_at",
        ]


class ReleaseDraftSerializer(serializers.Serializer[None]):
    """`name`: letters, digits and hyphens; it names the bundle. A profile is one that ships, never a path."""

    synthetic_set = serializers.UUIDField()
    name = serializers.CharField(max_length=100)
    title = serializers.CharField(default="", allow_blank=True, max_length=200)
    description = serializers.CharField(default="", allow_blank=True)
    profile = serializers.ChoiceField(profile_names(), default="internal")


class VoteSerializer(serializers.Serializer[None]):
    vote = serializers.ChoiceField(Vote.choices)
    reason = serializers.CharField()


class ReviewSerializer(serializers.ModelSerializer[Review]):
    officer = serializers.CharField(source="officer.username")

    class Meta:
        model = Review
        fields = ["officer", "round", "vote", "reason", "created_at"]


class SignatureSerializer(serializers.Serializer[None]):
    """digest: the audited content root. meaning: what the signature stands for. password: the officer's own, anew."""

    digest = serializers.CharField()
    meaning = serializers.CharField(max_length=500)
    password = serializers.CharField(trim_whitespace=False, write_only=True)


class EndorsementSerializer(serializers.ModelSerializer[Endorsement]):
    officer = serializers.CharField(source="officer.username")

    class Meta:
        model = Endorsement
        fields = ["officer", "round", "digest", "meaning", "reauthenticated_at", "created_at"]


class ProposalSerializer(serializers.Serializer[None]):
    target = serializers.ChoiceField([(target.value, target.label) for target in MOTION_TARGETS])
    reason = serializers.CharField()


class MotionSerializer(serializers.ModelSerializer[Motion]):
    officer = serializers.CharField(source="officer.username")
    target = serializers.CharField()

    class Meta:
        model = Motion
        fields = ["officer", "target", "reason", "is_open", "created_at"]
