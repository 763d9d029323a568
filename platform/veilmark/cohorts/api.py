"""The API of cohorts: those that a person may see, and uploading one."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from veilmark.accounts.api_input import body_of
from veilmark.accounts.permissions import signed_in
from veilmark.cohorts.mapping import CohortMapping, parse_mapping
from veilmark.cohorts.models import Cohort
from veilmark.cohorts.selectors import cohorts_visible
from veilmark.cohorts.serializers import CohortSerializer, CohortUploadSerializer
from veilmark.cohorts.services import CohortTerms, cohort_create, scratch_folder
from veilmark.core.api_errors import PROBLEM


@extend_schema_view(
    list=extend_schema(responses={200: CohortSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses={200: CohortSerializer, **PROBLEM}),
)
class CohortViewSet(ReadOnlyModelViewSet[Cohort]):
    """A custodian's own cohorts; all of them for officers and operators."""

    queryset = Cohort.objects.none()
    serializer_class = CohortSerializer
    parser_classes = [MultiPartParser]

    def get_queryset(self) -> QuerySet[Cohort]:
        return cohorts_visible(signed_in(self.request))

    @extend_schema(request=CohortUploadSerializer, responses={201: CohortSerializer, **PROBLEM})
    def create(self, request: Request) -> Response:
        """Upload a cohort: read, checked against its contract, split by subject, encrypted. All of it, or nothing."""
        fields = body_of(request, CohortUploadSerializer, action="cohort:create")
        upload, mapping = fields.pop("archive"), parse_mapping(fields.pop("mapping"))
        cohort = _create(upload, mapping, CohortTerms(**fields), request)
        return Response(self.get_serializer(cohort).data, status=201)


def _create(upload: UploadedFile, mapping: CohortMapping, terms: CohortTerms, request: Request) -> Cohort:
    """The upload passes through a private folder of this site, which is emptied whatever happens."""
    with TemporaryDirectory(dir=scratch_folder()) as folder:
        source = Path(folder) / "upload.zip"
        with source.open("wb") as stream:
            shutil.copyfileobj(upload, stream)
        return cohort_create(
            source=source,
            mapping=mapping,
            terms=terms,
            acting_user=signed_in(request),
            progress=_no_progress,
        )


def _no_progress(*_: object) -> None:
    """The answer comes when all is done: there is nobody to tell how far it has come."""
