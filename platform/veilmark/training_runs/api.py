"""The API of training runs: those that a person may see, and starting one."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from generators.privacy import DEFAULT_DELTA
from veilmark.accounts.api_input import body_of, find
from veilmark.accounts.permissions import signed_in
from veilmark.cohorts.selectors import cohorts_visible
from veilmark.core.api_errors import PROBLEM
from veilmark.jobs.api import ProgressSerializer
from veilmark.training_runs.models import TrainingRun
from veilmark.training_runs.selectors import training_runs_visible
from veilmark.training_runs.services import TrainingPlan, training_run_start


class TrainingRunSerializer(serializers.ModelSerializer[TrainingRun]):
    cohort = serializers.CharField(source="cohort.name")
    trainer = serializers.CharField(source="trainer.username")
    config = serializers.DictField()
    progress = ProgressSerializer(source="job", allow_null=True)

    class Meta:
        model = TrainingRun
        fields = [
            "id",
            "cohort",
            "trainer",
            "generator",
            "config",
            "image_size",
            "target_epsilon",
            "target_delta",
            "accountant",
            "spent_epsilon",
            "generator_digest",
            "state",
            "error",
            "progress",
            "created_at",
            "finished_at",
        ]


class TrainingPlanSerializer(serializers.Serializer[None]):
    """`epsilon` and `delta` bound what the run may spend per subject of the cohort; the seed repeats no noise."""

    cohort = serializers.UUIDField()
    generator = serializers.CharField(default="latent-statistics")
    epsilon = serializers.FloatField(default=8.0)
    delta = serializers.FloatField(default=DEFAULT_DELTA)
    accountant = serializers.ChoiceField(["prv", "rdp"], default="prv")
    image_size = serializers.IntegerField(default=64)
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**63 - 1)
    device = serializers.ChoiceField(["auto", "cpu", "cuda"], default="auto")
    config = serializers.DictField(default=dict, help_text="the generator's own settings")


@extend_schema_view(
    list=extend_schema(responses={200: TrainingRunSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses={200: TrainingRunSerializer, **PROBLEM}),
)
class TrainingRunViewSet(ReadOnlyModelViewSet[TrainingRun]):
    """A custodian's own runs; all of them for officers and operators."""

    queryset = TrainingRun.objects.none()
    serializer_class = TrainingRunSerializer

    def get_queryset(self) -> QuerySet[TrainingRun]:
        return training_runs_visible(signed_in(self.request))

    @extend_schema(request=TrainingPlanSerializer, responses={201: TrainingRunSerializer, **PROBLEM})
    def create(self, request: Request) -> Response:
        """Start a run as a job. Refused where the cohort's budget does not hold what it asks for."""
        fields = body_of(request, TrainingPlanSerializer, action="generator:train")
        user = signed_in(request)
        cohort = find(cohorts_visible(user), pk=fields.pop("cohort"))
        run = training_run_start(cohort=cohort, plan=TrainingPlan(**fields), acting_user=user)
        return Response(self.get_serializer(run).data, status=201)
