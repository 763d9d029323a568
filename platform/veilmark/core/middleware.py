"""A refusal raised behind a page becomes a page with its one line; a session lasts while a person acts."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from veilmark.core.errors import refusal_of

# A page asks by itself how a job goes; what is public may lie in caches, and no cookie beside it.
NO_ACT_VIEWS = frozenset({"jobs:progress", "public:log", "public:trust"})


class ErrorPageMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        refusal = refusal_of(error)
        if refusal is None:
            return None
        return render(request, "core/error.html", {"refusal": refusal}, status=refusal.status)


class IdleSignOutMiddleware:
    """Every act of a person renews their session; a page that asks by itself how a job goes does not.

    Without the exception a page left open on a running job would never be signed out (45 CFR 164.312(a)(2)(iii)).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_no_act = request.resolver_match is not None and request.resolver_match.view_name in NO_ACT_VIEWS
        if not is_no_act and not request.session.is_empty():
            request.session.modified = True
        return response
