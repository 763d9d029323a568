"""The API of access: the agreement, requests, grants, downloads."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ReadOnlyModelViewSet

from veilmark.access import agreement
from veilmark.access.copies import copy_require
from veilmark.access.leaks import leak_examine
from veilmark.access.models import AccessRequest, Grant
from veilmark.access.selectors import grants_visible, has_accepted, requests_visible
from veilmark.access.serializers import (
    AcceptanceSerializer,
    AccessRequestSerializer,
    AgreementSerializer,
    GrantSerializer,
    InquirySerializer,
    LeakSerializer,
    RenewalSerializer,
    VerdictSerializer,
    WishSerializer,
)
from veilmark.access.services import agreement_accept, grant_renew, grant_revoke, request_create, request_decide
from veilmark.access.streaming import RangeError, download_response
from veilmark.accounts.api_input import ReasonSerializer, acting, body_of, find
from veilmark.accounts.models import User
from veilmark.accounts.permissions import signed_in
from veilmark.core.api_errors import PROBLEM
from veilmark.core.errors import StateError
from veilmark.releases.selectors import releases_visible


def _agreement(user: User) -> Response:
    fields = {"version": agreement.VERSION, "text": agreement.TEXT, "digest": agreement.DIGEST}
    return Response(fields | {"accepted": has_accepted(user)})


class AgreementView(APIView):
    @extend_schema(responses={200: AgreementSerializer, **PROBLEM})
    def get(self, request: Request) -> Response:
        """The agreement in its present wording, and whether the person who asks accepted it."""
        return _agreement(signed_in(request))

    @extend_schema(request=AcceptanceSerializer, responses={200: AgreementSerializer, **PROBLEM})
    def post(self, request: Request) -> Response:
        """Accept the text that has this digest. Refused where the wording has changed since it was shown."""
        fields = body_of(request, AcceptanceSerializer, action="agreement:accept")
        if fields["digest"] != agreement.DIGEST:
            raise StateError("is not the present wording", where="agreement", remedy="read it again, then accept")
        user = signed_in(request)
        agreement_accept(acting_user=user)
        return _agreement(user)


@extend_schema_view(
    list=extend_schema(responses={200: AccessRequestSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses={200: AccessRequestSerializer, **PROBLEM}),
)
class AccessRequestViewSet(ReadOnlyModelViewSet[AccessRequest]):
    """A researcher's own requests; all of them for officers and operators."""

    queryset = AccessRequest.objects.none()
    serializer_class = AccessRequestSerializer

    def get_queryset(self) -> QuerySet[AccessRequest]:
        return requests_visible(signed_in(self.request))

    @extend_schema(request=WishSerializer, responses={201: AccessRequestSerializer, **PROBLEM})
    def create(self, request: Request) -> Response:
        """Ask for a release, for one of its permitted purposes. The agreement must be accepted."""
        fields = body_of(request, WishSerializer, action="request:create")
        user = signed_in(request)
        release = find(releases_visible(user), name=fields.pop("release"))
        asked = request_create(release=release, acting_user=user, **fields)
        return Response(self.get_serializer(asked).data, status=201)

    @extend_schema(request=VerdictSerializer, responses={200: AccessRequestSerializer, **PROBLEM})
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, **_: str) -> Response:
        """An officer grants a request until a date, or rejects it."""
        fields = body_of(request, VerdictSerializer, action="request:decide")
        decided = request_decide(request=self.get_object(), acting_user=signed_in(request), **fields)
        return Response(self.get_serializer(decided).data)


class LeakView(APIView):
    parser_classes = [MultiPartParser]

    @extend_schema(request=LeakSerializer, responses={200: InquirySerializer, **PROBLEM})
    def post(self, request: Request) -> Response:
        """Whose copy did leaked images come from? Officers alone may ask, and the ledger says that they did."""
        fields = body_of(request, LeakSerializer, action="leak:examine")
        files = [(file.name, file.read()) for file in fields["images"]]
        inquiry = leak_examine(files=files, acting_user=signed_in(request))
        return Response(InquirySerializer(inquiry).data)


class ZipRenderer(JSONRenderer):
    """Lets a request ask for `application/zip`; what it renders itself is a refusal."""

    media_type = "application/zip"
    format = "zip"


RANGE_HEADERS = [
    OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="one range: bytes=a-b, bytes=a- or bytes=-n"),
    OpenApiParameter("If-Range", str, OpenApiParameter.HEADER, description="the ETag of what was begun"),
]
BYTES: dict[Any, Any] = {
    (200, "application/zip"): OpenApiTypes.BINARY,
    (206, "application/zip"): OpenApiTypes.BINARY,
    **PROBLEM,
}


@extend_schema_view(
    list=extend_schema(responses={200: GrantSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses={200: GrantSerializer, **PROBLEM}),
)
class GrantViewSet(ReadOnlyModelViewSet[Grant]):
    """A researcher's own grants; all of them for officers and operators."""

    queryset = Grant.objects.none()
    serializer_class = GrantSerializer

    def get_queryset(self) -> QuerySet[Grant]:
        return grants_visible(signed_in(self.request))

    @extend_schema(request=ReasonSerializer, responses={200: GrantSerializer, **PROBLEM})
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, **_: str) -> Response:
        """An officer ends a grant at once."""
        fields = body_of(request, ReasonSerializer, action="request:decide")
        grant = self.get_object()
        grant_revoke(grant=grant, acting_user=signed_in(request), **fields)
        return Response(self.get_serializer(grant).data)

    @extend_schema(request=RenewalSerializer, responses={200: GrantSerializer, **PROBLEM})
    @action(detail=True, methods=["post"])
    def renew(self, request: Request, **_: str) -> Response:
        """An officer lets a grant last so many days from now, also where it has ended already."""
        fields = body_of(request, RenewalSerializer, action="request:decide")
        grant_renew(grant=self.get_object(), acting_user=signed_in(request), **fields)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=None, responses={202: GrantSerializer, **PROBLEM})
    @action(detail=True, methods=["post"])
    def prepare(self, request: Request, **_: str) -> Response:
        """Ask for the grant's own copy, where there is none to download. Asking again changes nothing."""
        user = acting(request, "download")
        copy_require(grant=self.get_object(), acting_user=user)
        return Response(self.get_serializer(self.get_object()).data, status=202)

    @extend_schema(methods=["GET"], parameters=RANGE_HEADERS, responses=BYTES)
    @extend_schema(methods=["HEAD"], exclude=True)
    @action(detail=True, methods=["get", "head"], renderer_classes=[JSONRenderer, ZipRenderer])
    def download(self, request: Request, **_: str) -> HttpResponseBase:
        """The grant's copy as a zip, whole or one range. The rules are evaluated again; every request is recorded.

        The ETag is the bundle's digest. HEAD gives the headers alone and records nothing.
        """
        user = acting(request, "download")
        return download_response(grant=self.get_object(), request=request._request, acting_user=user)  # noqa: SLF001

    def handle_exception(self, exc: Exception) -> Response:
        """A range outside the file is answered with the file's size (RFC 9110, section 15.5.17)."""
        response = super().handle_exception(exc)
        if isinstance(exc, RangeError):
            response["Content-Range"] = f"bytes */{exc.n_total}"
        return response
