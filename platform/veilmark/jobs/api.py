"""The API of jobs: how far long work has come."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from veilmark.accounts.api_input import acting
from veilmark.accounts.permissions import signed_in
from veilmark.core.api_errors import PROBLEM
from veilmark.jobs.models import Job
from veilmark.jobs.selectors import jobs_visible
from veilmark.jobs.services import job_cancel


class ProgressSerializer(serializers.ModelSerializer[Job]):
    """How far a job has come. `n_total` 0: not known yet."""

    percent = serializers.IntegerField(read_only=True)

    class Meta:
        model = Job
        fields = ["state", "n_done", "n_total", "percent", "message"]


class JobSerializer(serializers.ModelSerializer[Job]):
    progress = ProgressSerializer(source="*")

    class Meta:
        model = Job
        fields = [
            "id",
            "task",
            "subject_type",
            "subject_id",
            "progress",
            "error",
            "created_at",
            "started_at",
            "finished_at",
        ]


@extend_schema_view(
    list=extend_schema(responses={200: JobSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses={200: JobSerializer, **PROBLEM}),
)
class JobViewSet(ReadOnlyModelViewSet[Job]):
    """The jobs that one asked for; all of them for operators."""

    queryset = Job.objects.none()
    serializer_class = JobSerializer

    def get_queryset(self) -> QuerySet[Job]:
        return jobs_visible(signed_in(self.request))

    @extend_schema(request=None, responses={200: JobSerializer, **PROBLEM})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_: str) -> Response:
        """Stop a job: at once where it has not started, else where it next reports progress. Operators alone."""
        user = acting(request, "jobs:cancel")
        job = job_cancel(job=self.get_object(), acting_user=user)
        return Response(self.get_serializer(job).data)
