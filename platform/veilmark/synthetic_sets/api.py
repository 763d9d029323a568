"""The API of synthetic sets: those that a person may see, drawing one, a preview."""

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

from veilmark.accounts.api_input import body_of, find
from veilmark.accounts.permissions import signed_in
from veilmark.core.api_errors import PROBLEM
from veilmark.core.errors import StateError
from veilmark.jobs.api import ProgressSerializer
from veilmark.provenance.embedded.visible_label import VisibleLabel
from veilmark.synthetic_sets.counts import parse_cells
from veilmark.synthetic_sets.final_files import contact_sheet
from veilmark.synthetic_sets.models import VISIBLE_LABELS, SyntheticSet
from veilmark.synthetic_sets.selectors import synthetic_sets_visible
from veilmark.synthetic_sets.services import synthetic_set_create
from veilmark.training_runs.selectors import training_runs_visible


class SyntheticSetSerializer(serializers.ModelSerializer[SyntheticSet]):
    training_run = serializers.UUIDField(source="training_run_id")
    generator = serializers.CharField(source="training_run.generator")
    cohort = serializers.CharField(source="training_run.cohort.name")
    created_by = serializers.CharField(source="created_by.username")
    counts = serializers.JSONField(help_text="how many images per label and group")
    progress = ProgressSerializer(source="job", allow_null=True)

    class Meta:
        model = SyntheticSet
        fields = [
            "id",
            "serial",
            "training_run",
            "generator",
            "cohort",
            "created_by",
            "seed",
            "counts",
            "n_images",
            "visible_label",
            "generator_digest",
            "content_root",
            "n_mark_detected",
            "mark_survival",
            "state",
            "error",
            "progress",
            "created_at",
            "finished_at",
        ]


class CellSerializer(serializers.Serializer[None]):
    label = serializers.CharField()  # type: ignore[assignment] # the stubs think of Field.label
    sex = serializers.CharField(default="", allow_blank=True)
    age_group = serializers.CharField(default="", allow_blank=True)
    n = serializers.IntegerField(min_value=0)


class SyntheticSetWishSerializer(serializers.Serializer[None]):
    """Either `counts`, how many images per label and group, or `n_images` spread evenly over them."""

    training_run = serializers.UUIDField()
    n_images = serializers.IntegerField(default=0, min_value=0)
    counts = CellSerializer(many=True, default=list)
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**63 - 1)
    visible_label = serializers.ChoiceField(choices=VISIBLE_LABELS, default=VisibleLabel.NONE.value)


class PngRenderer(JSONRenderer):
    """Lets a request ask for `image/png`; what it renders itself is a refusal."""

    media_type = "image/png"
    format = "png"


@extend_schema_view(
    list=extend_schema(responses={200: SyntheticSetSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses={200: SyntheticSetSerializer, **PROBLEM}),
)
class SyntheticSetViewSet(ReadOnlyModelViewSet[SyntheticSet]):
    """A custodian's own sets; all of them for officers and clinicians."""

    queryset = SyntheticSet.objects.none()
    serializer_class = SyntheticSetSerializer

    def get_queryset(self) -> QuerySet[SyntheticSet]:
        return synthetic_sets_visible(signed_in(self.request))

    @extend_schema(request=SyntheticSetWishSerializer, responses={201: SyntheticSetSerializer, **PROBLEM})
    def create(self, request: Request) -> Response:
        """Draw, mark and write images as a job. Costs no privacy: the generator's noise is already paid for."""
        fields = body_of(request, SyntheticSetWishSerializer, action="synthetic_set:create")
        user = signed_in(request)
        run = find(training_runs_visible(user), pk=fields.pop("training_run"))
        cells = parse_cells(fields.pop("counts"))
        fields["visible_label"] = VisibleLabel(fields["visible_label"])
        synthetic_set = synthetic_set_create(training_run=run, cells=cells, acting_user=user, **fields)
        return Response(self.get_serializer(synthetic_set).data, status=201)

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY, **PROBLEM})
    @action(detail=True, renderer_classes=[JSONRenderer, PngRenderer])
    def preview(self, *_: Request, **__: str) -> HttpResponse:
        """A contact sheet of up to 72 of the set's images. Nothing real is on it."""
        synthetic_set = self.get_object()
        if not synthetic_set.is_done:
            raise StateError(f"is {synthetic_set.state}", where=str(synthetic_set), remedy="wait until it is done")
        return HttpResponse(contact_sheet(synthetic_set), content_type="image/png")
