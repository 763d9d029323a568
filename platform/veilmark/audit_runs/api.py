"""The API of audit runs: those that a person may see with their publishable report, and asking for one."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from veilmark.accounts.api_input import body_of, find
from veilmark.accounts.permissions import signed_in
from veilmark.audit_runs.models import AuditRun
from veilmark.audit_runs.selectors import audit_runs_visible
from veilmark.audit_runs.services import audit_run_create
from veilmark.core.api_errors import PROBLEM
from veilmark.jobs.api import ProgressSerializer
from veilmark.synthetic_sets.selectors import synthetic_sets_visible


class AuditRunSerializer(serializers.ModelSerializer[AuditRun]):
    """`report` is the publishable form: the internal one stays on the pages of its custodian and officers."""

    synthetic_set = serializers.UUIDField(source="synthetic_set_id")
    requested_by = serializers.CharField(source="requested_by.username")
    report = serializers.DictField()
    progress = ProgressSerializer(source="job", allow_null=True)

    class Meta:
        model = AuditRun
        fields = [
            "id",
            "synthetic_set",
            "requested_by",
            "content_root",
            "report",
            "report_digest",
            "state",
            "error",
            "progress",
            "created_at",
            "finished_at",
        ]


class AuditWishSerializer(serializers.Serializer[None]):
    synthetic_set = serializers.UUIDField()
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**63 - 1)


@extend_schema_view(
    list=extend_schema(responses={200: AuditRunSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses={200: AuditRunSerializer, **PROBLEM}),
)
class AuditRunViewSet(ReadOnlyModelViewSet[AuditRun]):
    """A custodian's own audits; all of them for officers."""

    queryset = AuditRun.objects.none()
    serializer_class = AuditRunSerializer

    def get_queryset(self) -> QuerySet[AuditRun]:
        return audit_runs_visible(signed_in(self.request))

    @extend_schema(request=AuditWishSerializer, responses={201: AuditRunSerializer, **PROBLEM})
    def create(self, request: Request) -> Response:
        """Audit the final files of a finished set as a job."""
        fields = body_of(request, AuditWishSerializer, action="audit:run")
        user = signed_in(request)
        synthetic_set = find(synthetic_sets_visible(user), pk=fields["synthetic_set"])
        run = audit_run_create(synthetic_set=synthetic_set, seed=fields["seed"], acting_user=user)
        return Response(self.get_serializer(run).data, status=201)
