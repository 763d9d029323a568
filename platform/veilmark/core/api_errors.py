"""What the API answers to a refusal: problem details (RFC 9457) with our three fields."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as framework_handler
from rest_framework.views import set_rollback

from veilmark.core.errors import ApplicationError, refusal_of

CONTENT_TYPE = "application/problem+json"
REMEDIES = {
    400: "correct it and send it again",
    401: "sign in and send the token: Authorization: Token ...",
    403: "ask a person whose role may do this",
    404: "list what you may see",
    405: "see /api/schema/",
    429: "wait and try again",
}


class ProblemSerializer(serializers.Serializer[None]):
    """Why a request was refused: what was wrong, where, what to do next."""

    type = serializers.CharField()
    title = serializers.CharField(help_text="the refusal in one line")
    status = serializers.IntegerField()
    what = serializers.CharField()
    where = serializers.CharField(allow_blank=True)
    remedy = serializers.CharField(allow_blank=True)


# The answer that every documented call may give.
PROBLEM: dict[Any, Any] = {("default", CONTENT_TYPE): ProblemSerializer}


def problem(refusal: ApplicationError) -> dict[str, Any]:
    return {
        "type": f"veilmark:{type(refusal).__name__}",
        "title": str(refusal),
        "status": refusal.status,
        "what": refusal.what,
        "where": refusal.where,
        "remedy": refusal.remedy,
    }


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    refusal = refusal_of(error)
    if refusal is not None:
        set_rollback()
        return Response(problem(refusal), status=refusal.status, content_type=CONTENT_TYPE)
    response = framework_handler(error, context)
    if response is not None:
        response.data = problem(_framework_refusal(error, response, context["request"].path))
        response.content_type = CONTENT_TYPE
    return response


def _framework_refusal(error: Exception, response: Response, path: str) -> ApplicationError:
    """The framework's own refusal (a field, a missing token, a method) in our words. `response` keeps its headers."""
    where, detail = _first(response.data) if isinstance(error, ValidationError) else ("", response.data["detail"])
    remedy = REMEDIES.get(response.status_code, "")
    return ApplicationError(str(detail), where=where or path, remedy=remedy, status=response.status_code)


def _first(detail: Any, where: str = "") -> tuple[str, Any]:
    """The first refused field, as a dotted name, and why."""
    while isinstance(detail, dict | list) and detail:
        key, detail = next(iter(detail.items() if isinstance(detail, dict) else [("", detail[0])]))
        where = f"{where}.{key}".strip(".") if key != "non_field_errors" else where
    return where, detail
