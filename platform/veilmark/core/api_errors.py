"""What the API answers to a refusal: problem details (RFC 9457) with our three fields."""

from typing import Any

from rest_framework.response import Response
from rest_framework.views import exception_handler as framework_handler
from rest_framework.views import set_rollback

from veilmark.core.errors import ApplicationError, refusal_of


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
    if refusal is None:
        return framework_handler(error, context)
    set_rollback()
    return Response(problem(refusal), status=refusal.status, content_type="application/problem+json")
