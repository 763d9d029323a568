"""What a person sees who is locked out after too many wrong passwords."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from veilmark.core.api_errors import problem
from veilmark.core.errors import LockedError


def locked_out(request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
    if request.path.startswith("/api/"):
        refusal = LockedError("too many wrong passwords", where="sign-in", remedy="wait 15 minutes, or ask an operator")
        return JsonResponse(problem(refusal), status=refusal.status, content_type="application/problem+json")
    return render(request, "accounts/locked.html", status=LockedError.status)
