"""The API of the ledger: its events, and whether the chain holds."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from veilmark.accounts.api_input import acting
from veilmark.core.api_errors import PROBLEM
from veilmark.ledger.models import Event
from veilmark.ledger.verify import ledger_verify


class EventSerializer(serializers.ModelSerializer[Event]):
    actor = serializers.CharField(source="actor.username", default=None, allow_null=True, help_text="null: the system")
    payload = serializers.DictField(read_only=True)

    class Meta:
        model = Event
        fields = [
            "sequence",
            "kind",
            "actor",
            "subject_type",
            "subject_id",
            "payload",
            "created_at",
            "previous_digest",
            "digest",
            "signature",
        ]


class LedgerProblemSerializer(serializers.Serializer[None]):
    sequence = serializers.IntegerField()
    what = serializers.CharField()


class LedgerVerificationSerializer(serializers.Serializer[None]):
    """problem: the first thing that is wrong, null where the chain holds."""

    ok = serializers.BooleanField()
    n_events = serializers.IntegerField()
    problem = LedgerProblemSerializer(allow_null=True)


@extend_schema_view(
    list=extend_schema(responses={200: EventSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses={200: EventSerializer, **PROBLEM}),
)
class EventViewSet(ReadOnlyModelViewSet[Event]):
    """Every event, oldest first. Officers and operators alone."""

    queryset = Event.objects.none()
    serializer_class = EventSerializer

    def get_queryset(self) -> QuerySet[Event]:
        acting(self.request, "ledger:view")
        return Event.objects.select_related("actor")

    @extend_schema(responses={200: LedgerVerificationSerializer, **PROBLEM})
    @action(detail=False)
    def verify(self, request: Request) -> Response:
        """Walk the whole chain: any event that was edited, removed, put elsewhere or cut off shows."""
        acting(request, "ledger:view")
        return Response(LedgerVerificationSerializer(ledger_verify()).data)  # type: ignore[arg-type] # a dataclass
