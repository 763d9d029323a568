"""The API of audit runs: those that a person may see with their publishable report, and asking for one."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from veilmark.accounts.api_input import acting, body_of, find
from veilmark.accounts.permissions import signed_in
from veilmark.audit_runs.copies import flagged_pairs
from veilmark.audit_runs.copy_reviews import copy_pair_show, copy_review_record, require_reviewer
from veilmark.audit_runs.models import AuditRun, CopyAnswer, CopyReview
from veilmark.audit_runs.selectors import audit_runs_visible, reviews_visible
from veilmark.audit_runs.services import audit_run_create
from veilmark.core.api_errors import PROBLEM
from veilmark.jobs.api import ProgressSerializer
from veilmark.synthetic_sets.api import PngRenderer
from veilmark.synthetic_sets.selectors import synthetic_sets_visible

PAIR = r"copies/(?P<number>[0-9]{1,7})"


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


class CopyReviewSerializer(serializers.ModelSerializer[CopyReview]):
    reviewer = serializers.CharField(source="reviewer.username")

    class Meta:
        model = CopyReview
        fields = ["pair", "reviewer", "answer", "reason", "created_at"]


class FlaggedPairSerializer(serializers.Serializer[list[dict[str, object]]]):
    """`index` is the row of the synthetic set; whose image lies beside it only the picture shows."""

    number = serializers.IntegerField()
    index = serializers.IntegerField()
    flagged_by = serializers.ListField(child=serializers.CharField())
    reviews = CopyReviewSerializer(many=True, help_text="standing answers; those of others once you have answered")


class CopyAnswerSerializer(serializers.Serializer[None]):
    answer = serializers.ChoiceField(choices=CopyAnswer.choices)
    reason = serializers.CharField(max_length=2000)


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

    @extend_schema(responses={200: FlaggedPairSerializer(many=True), **PROBLEM})
    @action(detail=True, pagination_class=None, filter_backends=[])
    def copies(self, request: Request, **_: str) -> Response:
        """The flagged pairs of a finished audit, each with the answers that you may see."""
        user = acting(request, "copies:review")
        run = self.get_object()
        require_reviewer(run, user)
        reviews = reviews_visible(run, user)
        rows = [vars(pair) | {"reviews": reviews.get(pair.number, [])} for pair in flagged_pairs(run)]
        return Response(FlaggedPairSerializer(rows, many=True).data)

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY, **PROBLEM})
    @action(detail=True, url_path=PAIR + "/picture", renderer_classes=[JSONRenderer, PngRenderer])
    def picture(self, request: Request, number: str, **_: str) -> HttpResponse:
        """A flagged synthetic image beside its nearest training image. Each look is an event; never to be kept."""
        user = acting(request, "copies:review")
        picture = copy_pair_show(run=self.get_object(), number=int(number), acting_user=user)
        return HttpResponse(picture, content_type="image/png", headers={"Cache-Control": "no-store, private"})

    @extend_schema(request=CopyAnswerSerializer, responses={201: CopyReviewSerializer, **PROBLEM})
    @action(detail=True, methods=["post"], url_path=PAIR + "/review")
    def review(self, request: Request, number: str, **_: str) -> Response:
        """Say whether a pair that you looked at is a copy. A later answer of yours supersedes this one."""
        fields = body_of(request, CopyAnswerSerializer, action="copies:review")
        review = copy_review_record(run=self.get_object(), number=int(number), acting_user=signed_in(request), **fields)
        return Response(CopyReviewSerializer(review).data, status=201)
