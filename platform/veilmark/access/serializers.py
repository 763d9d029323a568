"""Agreement, requests and grants as the API reads and shows them."""

from __future__ import annotations

from rest_framework import serializers

from veilmark.access.leaks import MAX_FILES, Examined, Inquiry, Named
from veilmark.access.models import AccessRequest, Grant
from veilmark.access.selectors import is_open, recall_of


class AgreementSerializer(serializers.Serializer[None]):
    """accepted: did the person who asks accept this wording?"""

    version = serializers.CharField()
    text = serializers.CharField()
    digest = serializers.CharField()
    accepted = serializers.BooleanField()


class AcceptanceSerializer(serializers.Serializer[None]):
    """digest: of the text that the person was shown."""

    digest = serializers.CharField()


class GrantSerializer(serializers.ModelSerializer[Grant]):
    """`bundle_digest` is of the zip that the grant opens, empty until it is prepared; `download` is its address on
    this server; `copy_error` says why it could not be prepared; `recalled` why the release was taken back, empty where
    it was not."""

    release = serializers.CharField(source="request.release.name")
    researcher = serializers.CharField(source="request.researcher.username")
    purpose = serializers.CharField(source="request.purpose")
    bundle_digest = serializers.SerializerMethodField(help_text="of this grant's own copy")
    copy_error = serializers.CharField(source="copy.error", default="")
    is_open = serializers.SerializerMethodField(help_text="neither revoked nor past its end")
    recalled = serializers.SerializerMethodField(help_text="why the release was taken back")
    download = serializers.HyperlinkedIdentityField(view_name="api_grants-download")

    class Meta:
        model = Grant
        fields = [
            "id",
            "release",
            "researcher",
            "purpose",
            "bundle_digest",
            "copy_error",
            "is_open",
            "recalled",
            "download",
            "created_at",
            "expires_at",
            "revoked_at",
        ]

    def get_bundle_digest(self, grant: Grant) -> str:
        copy = getattr(grant, "copy", None)
        return copy.bundle_digest if copy and copy.is_ready else ""

    def get_is_open(self, grant: Grant) -> bool:
        return is_open(grant)

    def get_recalled(self, grant: Grant) -> str:
        return recall_of(grant.request.release)


class RenewalSerializer(serializers.Serializer[None]):
    reason = serializers.CharField()
    n_days = serializers.IntegerField(default=90, help_text="how long the grant lasts from now on")


class AccessRequestSerializer(serializers.ModelSerializer[AccessRequest]):
    release = serializers.CharField(source="release.name")
    researcher = serializers.CharField(source="researcher.username")
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)
    grant = serializers.UUIDField(source="grant.pk", default=None, allow_null=True)

    class Meta:
        model = AccessRequest
        fields = [
            "id",
            "release",
            "researcher",
            "purpose",
            "project",
            "state",
            "decided_by",
            "reason",
            "grant",
            "created_at",
        ]


class WishSerializer(serializers.Serializer[None]):
    """release: its name. purpose: one that the release permits. project: what the images are for, in a sentence."""

    release = serializers.CharField()
    purpose = serializers.CharField(max_length=100)
    project = serializers.CharField()


class LeakSerializer(serializers.Serializer[None]):
    """A multipart form: leaked images, one or several of the same source."""

    images = serializers.ListField(child=serializers.FileField(), min_length=1, max_length=MAX_FILES)


class ExaminedSerializer(serializers.Serializer[Examined]):
    name = serializers.CharField()
    digest = serializers.CharField()
    release = serializers.CharField(help_text="empty where no mark was found")
    image_id = serializers.CharField()
    stage = serializers.CharField()
    mark_false_positive_rate = serializers.FloatField()


class NamedSerializer(serializers.Serializer[Named]):
    release = serializers.CharField()
    recipient = serializers.CharField()
    grant = serializers.UUIDField()
    grant_id = serializers.CharField(help_text="what the copy's own statement says")
    z = serializers.FloatField()
    false_accusation_rate = serializers.FloatField()


class InquirySerializer(serializers.Serializer[Inquiry]):
    """`named` is empty where nobody can be named; `answer` says it in a line."""

    files = ExaminedSerializer(many=True)
    named = NamedSerializer(many=True)
    n_recipients = serializers.IntegerField()
    false_accusation_rate = serializers.FloatField()
    answer = serializers.CharField()


class VerdictSerializer(serializers.Serializer[None]):
    approve = serializers.BooleanField()
    reason = serializers.CharField()
    n_days = serializers.IntegerField(default=90, help_text="how long the grant lasts")
