"""Reading a request to the API: may this person do it at all, then is the body right, then is there such a thing."""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from veilmark.accounts.models import User
from veilmark.accounts.permissions import require, signed_in
from veilmark.core.errors import NotFoundError

Row = TypeVar("Row", bound=Model)


class ReasonSerializer(serializers.Serializer[None]):
    """The body of the calls that need a stated reason and nothing else."""

    reason = serializers.CharField()


def body_of(request: Request, serializer: type[serializers.Serializer[None]], *, action: str) -> dict[str, Any]:
    """The request's fields, checked. Who may not do `action` learns nothing about them.

    Raises NotAllowedError, and the framework's ValidationError.
    """
    acting(request, action)
    body = serializer(data=request.data)
    body.is_valid(raise_exception=True)
    fields: dict[str, Any] = body.validated_data
    return fields


def acting(request: Request, action: str) -> User:
    """The person behind the request. Raises NotAllowedError unless they may do `action`."""
    user = signed_in(request)
    require(user, action)
    return user


def find(rows: QuerySet[Row], **lookup: Any) -> Row:
    """The one row among those that the person may see. Raises NotFoundError, which does not say whether it exists."""
    try:
        return rows.get(**lookup)
    except (ObjectDoesNotExist, ValidationError, ValueError):
        (value,) = lookup.values()
        name = str(rows.model._meta.verbose_name)  # noqa: SLF001 - Django's documented way to a model's names
        raise NotFoundError("there is none that you may see", where=f"{name} {value}", remedy="list them") from None
