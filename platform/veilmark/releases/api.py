"""The API of releases: those that a person may see, and every step from draft to revocation."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.filters import SearchFilter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from veilmark.accounts.api_input import ReasonSerializer, acting, body_of, find
from veilmark.accounts.permissions import signed_in
from veilmark.core.api_errors import PROBLEM
from veilmark.releases.models import Release
from veilmark.releases.review import release_endorse, release_propose, release_suspend, release_vote
from veilmark.releases.selectors import releases_visible, reviews_visible
from veilmark.releases.serializers import (
    EndorsementSerializer,
    MotionSerializer,
    ProposalSerializer,
    ReleaseDraftSerializer,
    ReleaseSerializer,
    ReviewSerializer,
    SignatureSerializer,
    VoteSerializer,
)
from veilmark.releases.services import (
    ReleaseDraft,
    release_create,
    release_open_review,
    release_reopen,
    release_send_to_clinicians,
    release_submit,
    release_withdraw,
)
from veilmark.synthetic_sets.selectors import synthetic_sets_visible

MOVED: dict[Any, Any] = {200: ReleaseSerializer, **PROBLEM}


@extend_schema_view(
    list=extend_schema(responses={200: ReleaseSerializer(many=True), **PROBLEM}),
    retrieve=extend_schema(responses=MOVED),
)
class ReleaseViewSet(ReadOnlyModelViewSet[Release]):
    """Released ones for everyone; a custodian's own; all of them for officers and operators."""

    queryset = Release.objects.none()
    serializer_class = ReleaseSerializer
    lookup_field = "name"
    filter_backends = [SearchFilter]
    search_fields = ["name", "title", "description"]

    def get_queryset(self) -> QuerySet[Release]:
        return releases_visible(signed_in(self.request))

    def _shown(self, release: Release) -> Response:
        release.refresh_from_db()
        return Response(self.get_serializer(release).data)

    @extend_schema(request=ReleaseDraftSerializer, responses={201: ReleaseSerializer, **PROBLEM})
    def create(self, request: Request) -> Response:
        """Draft a release of a finished synthetic set."""
        fields = body_of(request, ReleaseDraftSerializer, action="release:create")
        user = signed_in(request)
        synthetic_set = find(synthetic_sets_visible(user), pk=fields.pop("synthetic_set"))
        release = release_create(synthetic_set=synthetic_set, draft=ReleaseDraft(**fields), acting_user=user)
        return Response(self.get_serializer(release).data, status=201)

    @extend_schema(request=None, responses=MOVED)
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, **_: str) -> Response:
        """The custodian hands the draft to the audits and the rules; a job does both."""
        user = acting(request, "release:create")
        release = self.get_object()
        release_submit(release=release, acting_user=user)
        return self._shown(release)

    @extend_schema(request=None, responses=MOVED)
    @action(detail=True, methods=["post"], url_path="send-to-clinicians")
    def send_to_clinicians(self, request: Request, **_: str) -> Response:
        """From ready to the clinicians, and straight on to review where the profile asks for no readers."""
        user = acting(request, "release:create")
        release = self.get_object()
        release_send_to_clinicians(release=release, acting_user=user)
        return self._shown(release)

    @extend_schema(request=None, responses=MOVED)
    @action(detail=True, methods=["post"], url_path="open-review")
    def open_review(self, request: Request, **_: str) -> Response:
        """From the clinicians to the officers, once enough readers have finished."""
        user = acting(request, "release:create")
        release = self.get_object()
        release_open_review(release=release, acting_user=user)
        return self._shown(release)

    @extend_schema(request=None, responses=MOVED)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, **_: str) -> Response:
        """A failed or returned release becomes a draft again: earlier votes are void."""
        user = acting(request, "release:create")
        release = self.get_object()
        release_reopen(release=release, acting_user=user)
        return self._shown(release)

    @extend_schema(request=ReasonSerializer, responses=MOVED)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, **_: str) -> Response:
        """The custodian takes an unreleased set back."""
        fields = body_of(request, ReasonSerializer, action="release:withdraw")
        release = self.get_object()
        release_withdraw(release=release, acting_user=signed_in(request), **fields)
        return self._shown(release)

    @extend_schema(responses={200: ReviewSerializer(many=True), **PROBLEM})
    @action(detail=True, pagination_class=None, filter_backends=[])
    def reviews(self, request: Request, **_: str) -> Response:
        """The votes of this round. Until both are in, an officer sees only their own."""
        user = acting(request, "release:endorse")
        return Response(ReviewSerializer(reviews_visible(self.get_object(), user), many=True).data)

    @extend_schema(request=VoteSerializer, responses={201: ReviewSerializer, **PROBLEM})
    @action(detail=True, methods=["post"])
    def vote(self, request: Request, **_: str) -> Response:
        """An officer's blind vote. The second one ends the review."""
        fields = body_of(request, VoteSerializer, action="release:endorse")
        review = release_vote(release=self.get_object(), acting_user=signed_in(request), **fields)
        return Response(ReviewSerializer(review).data, status=201)

    @extend_schema(request=SignatureSerializer, responses={201: EndorsementSerializer, **PROBLEM})
    @action(detail=True, methods=["post"])
    def endorse(self, request: Request, **_: str) -> Response:
        """An officer signs the digest of the audited files; the second signature enqueues the publication."""
        fields = body_of(request, SignatureSerializer, action="release:endorse")
        endorsement = release_endorse(release=self.get_object(), acting_user=signed_in(request), **fields)
        return Response(EndorsementSerializer(endorsement).data, status=201)

    @extend_schema(request=ReasonSerializer, responses=MOVED)
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, **_: str) -> Response:
        """Any officer, at once: downloads stop."""
        fields = body_of(request, ReasonSerializer, action="release:suspend")
        release = self.get_object()
        release_suspend(release=release, acting_user=signed_in(request), **fields)
        return self._shown(release)

    @extend_schema(request=ProposalSerializer, responses={201: MotionSerializer, **PROBLEM})
    @action(detail=True, methods=["post"])
    def propose(self, request: Request, **_: str) -> Response:
        """Move to revoke, or to reinstate a suspended release. The second officer's motion carries it."""
        fields = body_of(request, ProposalSerializer, action="release:suspend")
        motion = release_propose(release=self.get_object(), acting_user=signed_in(request), **fields)
        return Response(MotionSerializer(motion).data, status=201)
