"""The API of decisions: what the rules said, rule by rule."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.viewsets import ReadOnlyModelViewSet

from veilmark.accounts.permissions import signed_in
from veilmark.core.api_errors import PROBLEM
from veilmark.decisions.models import Decision
from veilmark.decisions.selectors import decisions_visible


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    audit_run = serializers.UUIDField(source="audit_run_id")
    body = serializers.DictField(help_text="rule by rule: outcome, got, want, reason, citation, remedy")

    class Meta:
        model = Decision
        fields = [
            "id",
            "audit_run",
            "profile",
            "phase",
            "outcome",
            "reason",
            "body",
            "facts_digest",
            "profile_digest",
            "engine_digest",
            "created_at",
        ]


@extend_schema_view(
    list=extend_schema(responses={200: DecisionSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses={200: DecisionSerializer, **PROBLEM}),
)
class DecisionViewSet(ReadOnlyModelViewSet[Decision]):
    """A custodian's own decisions; all of them for officers."""

    queryset = Decision.objects.none()
    serializer_class = DecisionSerializer

    def get_queryset(self) -> QuerySet[Decision]:
        return decisions_visible(signed_in(self.request))
