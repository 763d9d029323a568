"""Tokens for scripts and the client: a password in, a token out."""

from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from drf_spectacular.utils import extend_schema
from knox.auth import TokenAuthentication
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from veilmark.accounts.models import User
from veilmark.accounts.permissions import signed_in
from veilmark.accounts.services import api_token_create
from veilmark.core.errors import NotAllowedError


class CredentialsSerializer(serializers.Serializer[None]):
    username = serializers.CharField()
    password = serializers.CharField(trim_whitespace=False)


class TokenSerializer(serializers.Serializer[None]):
    token = serializers.CharField(read_only=True)


class PersonSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["id", "username", "display_name", "role"]


class TokenView(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(request=CredentialsSerializer, responses={201: TokenSerializer})
    def post(self, request: Request) -> Response:
        """Sign in for the API. Wrong passwords count towards the same lock-out as at the sign-in page."""
        credentials = CredentialsSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        user = authenticate(request._request, **credentials.validated_data)  # noqa: SLF001 - axes reads Django's request
        if not isinstance(user, User):
            raise NotAllowedError("the name or the password was not accepted", remedy="check both, or wait 15 minutes")
        user_logged_in.send(User, request=request._request, user=user)  # noqa: SLF001 - as above
        return Response({"token": api_token_create(user=user)}, status=status.HTTP_201_CREATED)


class CurrentTokenView(APIView):
    authentication_classes = [TokenAuthentication]
    permission_classes = [IsAuthenticated]

    @extend_schema(responses={204: None})
    @transaction.atomic
    def delete(self, request: Request) -> Response:
        """End the token that this call is made with."""
        user = signed_in(request)
        request.auth.delete()
        user_logged_out.send(User, request=request._request, user=user)  # noqa: SLF001 - as above
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    permission_classes = [IsAuthenticated]

    @extend_schema(responses=PersonSerializer)
    def get(self, request: Request) -> Response:
        """Who the token belongs to."""
        return Response(PersonSerializer(signed_in(request)).data)
